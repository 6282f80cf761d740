// Apache Kafka's Java client against one broker. Runs from source: java -cp JARS Client.java BOOTSTRAP RUN_ID
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Client {
    static final int PARTITIONS = 4;
    static final int RECORDS = 100;
    static final int LARGE = 1024 * 1024;
    static final long WAIT_MS = 25_000;

    interface Body { void run() throws Exception; }

    static String bootstrap;
    static String runId;
    static Admin admin;

    static String name(String what) { return "java-" + what + "-" + runId; }

    static void check(String name, Body body) {
        long started = System.nanoTime();
        try {
            body.run();
            System.out.printf("CHECK %s ok %.1f s%n", name, (System.nanoTime() - started) / 1e9);
        } catch (Throwable error) {
            error.printStackTrace();
            String text = error.toString().replaceAll("\\s+", " ");
            System.out.printf("CHECK %s FAIL %s%n", name, text.substring(0, Math.min(300, text.length())));
        }
    }

    static void expect(Object actual, Object wanted, String what) {
        if (!Objects.equals(actual, wanted)) {
            throw new AssertionError(what + ": got " + actual + ", wanted " + wanted);
        }
    }

    static void waitFor(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.currentTimeMillis() + WAIT_MS;
        while (!condition.call()) {
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError("gave up waiting for: " + what);
            }
        }
    }

    static byte[] bytes(String text) { return text == null ? null : text.getBytes(StandardCharsets.UTF_8); }

    static String text(byte[] bytes) { return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8); }

    static Properties config(Object... pairs) {
        Properties all = new Properties();
        all.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            all.put((String) pairs[i], pairs[i + 1]);
        }
        return all;
    }

    static String create(String what, int partitions, Map<String, String> configs) throws Exception {
        String topic = name(what);
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        waitFor("the topic in metadata", () -> {
            try {
                return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == partitions;
            } catch (java.util.concurrent.ExecutionException notYet) {
                return false;
            }
        });
        return topic;
    }

    static List<RecordMetadata> produce(List<ProducerRecord<byte[], byte[]>> records, Object... pairs) throws Exception {
        Properties all = config("acks", "all", "linger.ms", "5", "enable.idempotence", "false");
        all.putAll(config(pairs));
        List<RecordMetadata> acknowledged = new ArrayList<>();
        try (var producer = new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (var record : records) {
                futures.add(producer.send(record));
            }
            producer.flush();
            for (var future : futures) {
                acknowledged.add(future.get());
            }
        }
        return acknowledged;
    }

    static ProducerRecord<byte[], byte[]> record(String topic, Long timestamp, String key, String value, Header... headers) {
        return new ProducerRecord<>(topic, 0, timestamp, bytes(key), bytes(value), Arrays.asList(headers));
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
        Properties all = config("enable.auto.commit", "false", "auto.offset.reset", "earliest", "fetch.max.wait.ms", "50",
            "session.timeout.ms", "6000", "heartbeat.interval.ms", "300", "max.poll.records", "40");
        all.putAll(config(pairs));
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> consumer, int count) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
        waitFor(count + " records", () -> {
            consumer.poll(Duration.ofMillis(200)).forEach(read::add);
            return read.size() >= count;
        });
        return read;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int count, int partitions) throws Exception {
        try (var consumer = consumer("max.poll.records", "1000")) {
            List<TopicPartition> all = new ArrayList<>();
            for (int p = 0; p < partitions; p++) {
                all.add(new TopicPartition(topic, p));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            return take(consumer, count);
        }
    }

    static void connect() throws Exception {
        expect(admin.describeCluster().nodes().get().size(), 1, "brokers");
    }

    static void produceConsume() throws Exception {
        String topic = create("produce", PARTITIONS, Map.of());
        long now = System.currentTimeMillis();
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            sent.add(new ProducerRecord<>(topic, i % PARTITIONS, now + i, bytes("k" + i), bytes("v" + i),
                List.of(new RecordHeader("n", bytes("" + i)))));
        }
        List<RecordMetadata> acknowledged = produce(sent);
        int[] next = new int[PARTITIONS];
        for (int i = 0; i < RECORDS; i++) {
            expect(acknowledged.get(i).offset(), (long) (i / PARTITIONS), "acknowledged offset");
        }
        for (var found : readAll(topic, RECORDS, PARTITIONS)) {
            expect(found.offset(), (long) next[found.partition()]++, "offset");
            var wanted = sent.get((int) found.offset() * PARTITIONS + found.partition());
            expect(text(found.key()), text(wanted.key()), "key");
            expect(text(found.value()), text(wanted.value()), "value");
            expect(found.timestamp(), wanted.timestamp(), "timestamp");
            expect(found.headers(), wanted.headers(), "headers");
        }
    }

    static void groupConsume() throws Exception {
        String topic = create("group", 1, Map.of());
        String group = name("group");
        var partition = new TopicPartition(topic, 0);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            sent.add(record(topic, null, null, "v" + i));
        }
        produce(sent);
        try (var first = consumer("group.id", group)) {
            first.subscribe(List.of(topic));
            take(first, 40);
            first.commitSync(Map.of(partition, new OffsetAndMetadata(40, "note")));
            expect(first.committed(java.util.Set.of(partition)).get(partition), new OffsetAndMetadata(40, "note"), "committed");
        }
        try (var second = consumer("group.id", group)) {
            second.subscribe(List.of(topic));
            var rest = take(second, RECORDS - 40);
            for (int i = 0; i < rest.size(); i++) {
                expect(rest.get(i).offset(), 40L + i, "offset");
            }
            second.commitSync();
        }
        var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        expect(committed.get(partition).offset(), (long) RECORDS, "committed at the end");
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    static TreeSet<Integer> held(KafkaConsumer<byte[], byte[]> member) {
        TreeSet<Integer> held = new TreeSet<>();
        member.assignment().forEach(partition -> held.add(partition.partition()));
        return held;
    }

    static void rebalance(String what, Object... pairs) throws Exception {
        String topic = create(what, PARTITIONS, Map.of());
        var all = new ArrayList<Object>(Arrays.asList(pairs));
        all.addAll(List.of("group.id", name(what)));
        try (var first = consumer(all.toArray())) {
            var second = consumer(all.toArray());
            first.subscribe(List.of(topic));
            second.subscribe(List.of(topic));
            waitFor("both members hold partitions", () -> {
                first.poll(Duration.ofMillis(50));
                second.poll(Duration.ofMillis(50));
                var union = held(first);
                union.addAll(held(second));
                return !held(first).isEmpty() && !held(second).isEmpty()
                    && held(first).size() + held(second).size() == PARTITIONS && union.size() == PARTITIONS;
            });
            second.close();
            waitFor("the remaining member holds every partition", () -> {
                first.poll(Duration.ofMillis(50));
                return held(first).size() == PARTITIONS;
            });
        }
    }

    static String retention(String topic) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
    }

    static void adminCalls() throws Exception {
        String topic = create("admin", 2, Map.of("retention.ms", "3600000"));
        expect(retention(topic), "3600000", "retention.ms as created");
        var change = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic), List.of(change))).all().get();
        waitFor("retention.ms as altered", () -> retention(topic).equals("7200000"));
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        waitFor("four partitions", () ->
            admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 4);
        produce(List.of(record(topic, null, null, "a"), record(topic, null, null, "b")));
        var partition = new TopicPartition(topic, 0);
        var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(1))).lowWatermarks().get(partition).get();
        expect(deleted.lowWatermark(), 1L, "low watermark after DeleteRecords");
        admin.deleteTopics(List.of(topic)).all().get();
        waitFor("the topic's end", () -> !admin.listTopics().names().get().contains(topic));
    }

    static void idempotence() throws Exception {
        String topic = create("idempotence", 1, Map.of());
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            sent.add(record(topic, null, null, "v" + i));
        }
        var acknowledged = produce(sent, "enable.idempotence", "true", "batch.size", "256", "linger.ms", "0");
        var read = readAll(topic, 500, 1);
        expect(read.size(), 500, "records");
        for (int i = 0; i < 500; i++) {
            expect(acknowledged.get(i).offset(), (long) i, "acknowledged offset");
            expect(text(read.get(i).value()), "v" + i, "value");
        }
    }

    static void compression(String codec) throws Exception {
        String topic = create("compression-" + codec, 1, Map.of());
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            sent.add(record(topic, null, null, ("value " + i + " ").repeat(100)));
        }
        produce(sent, "compression.type", codec);
        var read = readAll(topic, RECORDS, 1);
        for (int i = 0; i < RECORDS; i++) {
            expect(text(read.get(i).value()), text(sent.get(i).value()), "value");
        }
    }

    static void headers() throws Exception {
        String topic = create("headers", 1, Map.of());
        byte[] all = new byte[256];
        for (int i = 0; i < 256; i++) {
            all[i] = (byte) i;
        }
        Header[] wanted = {new RecordHeader("a", bytes("1")), new RecordHeader("a", bytes("2")), new RecordHeader("empty", new byte[0]),
            new RecordHeader("null", (byte[]) null), new RecordHeader("bytes", all)};
        produce(List.of(record(topic, null, null, "v", wanted)));
        expect(Arrays.asList(readAll(topic, 1, 1).get(0).headers().toArray()), Arrays.asList(wanted), "headers");
    }

    static void createTime() throws Exception {
        String topic = create("timestamps", 1, Map.of("retention.ms", "-1"));
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            sent.add(record(topic, 1_000_000L + i, null, "v"));
        }
        produce(sent);
        for (var found : readAll(topic, 5, 1)) {
            expect(found.timestampType(), TimestampType.CREATE_TIME, "kind of timestamp");
            expect(found.timestamp(), 1_000_000L + found.offset(), "timestamp");
        }
    }

    static void appendTime() throws Exception {
        String topic = create("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        var acknowledged = produce(List.of(record(topic, 1_000_000L, null, "v"))).get(0);
        var found = readAll(topic, 1, 1).get(0);
        expect(found.timestampType(), TimestampType.LOG_APPEND_TIME, "kind of timestamp");
        expect(before - 1000 <= found.timestamp() && found.timestamp() <= before + 30_000, true, "append time " + found.timestamp());
        expect(acknowledged.timestamp(), found.timestamp(), "acknowledged timestamp");
    }

    static void largeValue() throws Exception {
        String topic = create("large", 1, Map.of("max.message.bytes", "2097152"));
        byte[] value = new byte[LARGE];
        new Random(1).nextBytes(value);
        produce(List.of(new ProducerRecord<>(topic, 0, null, value)), "max.request.size", "2097152");
        expect(Arrays.equals(readAll(topic, 1, 1).get(0).value(), value), true, "the large value");
    }

    static void emptyValues() throws Exception {
        String topic = create("empty", 1, Map.of());
        produce(List.of(record(topic, null, "k", ""), record(topic, null, "k", null), record(topic, null, null, "v")));
        List<String> found = new ArrayList<>();
        readAll(topic, 3, 1).forEach(r -> found.add(text(r.key()) + "=" + text(r.value())));
        expect(found, List.of("k=", "k=null", "null=v"), "records");
    }

    static void offsetsForTimes() throws Exception {
        String topic = create("times", 1, Map.of("retention.ms", "-1"));
        var partition = new TopicPartition(topic, 0);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 1; i <= 10; i++) {
            sent.add(record(topic, 1000L * i, null, "v"));
        }
        produce(sent);
        try (var consumer = consumer()) {
            expect(consumer.offsetsForTimes(Map.of(partition, 4500L)).get(partition).offset(), 4L, "offset at 4500 ms");
            expect(consumer.offsetsForTimes(Map.of(partition, 99_000L)).get(partition), null, "offset after the last record");
            expect(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning");
            expect(consumer.endOffsets(List.of(partition)).get(partition), 10L, "end");
        }
        var max = admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition).get();
        expect(max.offset(), 9L, "offset of the largest timestamp");
    }

    static void staticMembership() throws Exception {
        String topic = create("static", PARTITIONS, Map.of());
        Object[] common = {"group.id", name("static"), "session.timeout.ms", "20000", "group.instance.id"};
        Callable<KafkaConsumer<byte[], byte[]>> again = () -> {
            var all = new ArrayList<Object>(Arrays.asList(common));
            all.add("i1");
            var member = consumer(all.toArray());
            member.subscribe(List.of(topic));
            return member;
        };
        var mine = new ArrayList<Object>(Arrays.asList(common));
        mine.add("i0");
        try (var first = consumer(mine.toArray())) {
            first.subscribe(List.of(topic));
            var second = again.call();
            var members = new ArrayList<>(List.of(first, second));
            Callable<Boolean> both = () -> {
                members.forEach(member -> member.poll(Duration.ofMillis(50)));
                return held(members.get(0)).size() == 2 && held(members.get(1)).size() == 2;
            };
            waitFor("both members hold partitions", both);
            var before = List.of(held(first), held(second));
            second.close();
            members.set(1, again.call());
            waitFor("the returned member holds partitions", both);
            expect(List.of(held(first), held(members.get(1))), before, "partitions after the return");
            members.get(1).close();
        }
    }

    public static void main(String[] arguments) {
        bootstrap = arguments[0];
        runId = arguments[1];
        admin = Admin.create(config());
        check("connect", Client::connect);
        check("produce-consume", Client::produceConsume);
        check("group-consume", Client::groupConsume);
        check("rebalance", () -> rebalance("rebalance"));
        check("admin", Client::adminCalls);
        check("idempotence", Client::idempotence);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            check("compression-" + codec, () -> compression(codec));
        }
        check("headers", Client::headers);
        check("create-time", Client::createTime);
        check("append-time", Client::appendTime);
        check("large-value", Client::largeValue);
        check("empty-null-values", Client::emptyValues);
        check("offsets-for-times", Client::offsetsForTimes);
        check("static-membership", Client::staticMembership);
        check("cooperative-sticky", () ->
            rebalance("cooperative", "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()));
        admin.close();
        System.exit(0);
    }
}
