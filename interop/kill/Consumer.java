// Apache Kafka's group consumer, living through kills: prints what it was given and what it committed.
// Runs from source: java -cp JARS Consumer.java BOOTSTRAP TOPIC
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Consumer {
    public static void main(String[] arguments) {
        String group = "kill-java-group";
        String session = System.getenv().getOrDefault("SESSION_TIMEOUT_MS", "6000");
        Map<String, Object> config = Map.of(
            "bootstrap.servers", arguments[0], "group.id", group, "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "session.timeout.ms", session, "heartbeat.interval.ms", "300",
            "fetch.max.wait.ms", "50", "reconnect.backoff.max.ms", "100", "retry.backoff.ms", "20",
            "default.api.timeout.ms", "3000");
        Map<String, Object> all = new HashMap<>(config);
        all.putAll(Map.of("request.timeout.ms", "3000", "reconnect.backoff.ms", "10"));
        try (var consumer = new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(arguments[1]));
            while (true) {
                StringBuilder lines = new StringBuilder();
                Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    String value = record.value();
                    String mark = value.substring(0, value.lastIndexOf(':') + 1);
                    lines.append("READ ").append(record.partition()).append(' ').append(record.offset())
                        .append(' ').append(mark).append('\n');
                    next.put(new TopicPartition(record.topic(), record.partition()),
                        new OffsetAndMetadata(record.offset() + 1));
                }
                System.out.print(lines);
                System.out.flush();
                if (next.isEmpty()) {
                    continue;
                }
                try {
                    consumer.commitSync(next);
                } catch (KafkaException notNow) {
                    continue; // the broker is down, or the group rebalances: nothing was promised
                }
                next.forEach((place, offset) ->
                    System.out.println("COMMIT " + group + " " + place.partition() + " " + offset.offset()));
            }
        }
    }
}
