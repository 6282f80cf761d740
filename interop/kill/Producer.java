// Apache Kafka's idempotent producer, living through kills: prints what was acknowledged.
// Runs from source: java -cp JARS Producer.java PARTITION BOOTSTRAP TOPIC
import java.util.Map;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Producer {
    public static void main(String[] arguments) throws Exception {
        int partition = Integer.parseInt(arguments[0]);
        Map<String, Object> config = Map.of(
            "bootstrap.servers", arguments[1], "acks", "all", "enable.idempotence", "true", "linger.ms", "2",
            "delivery.timeout.ms", "600000", "request.timeout.ms", "3000", "retry.backoff.ms", "20",
            "reconnect.backoff.ms", "10", "reconnect.backoff.max.ms", "100");
        Semaphore open = new Semaphore(200);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (long count = 0; ; count++) {
                open.acquire();
                String mark = "java:" + count + ":";
                String value = mark + ".".repeat((int) (count % 300));
                producer.send(new ProducerRecord<>(arguments[2], partition, null, value), (meta, error) -> {
                    open.release();
                    System.out.println(error == null
                        ? "ACK " + meta.partition() + " " + meta.offset() + " " + mark
                        : "VIOLATION delivery failed: " + error);
                });
                Thread.sleep(1);
            }
        }
    }
}
