// The AWS SDK for Java v2, which checks the digests of what it receives by itself. Runs from source:
// java -cp JARS Client.java ENDPOINT BOOTSTRAP RUN_ID
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

public class Client {
    interface Body { void run() throws Exception; }

    static SqsClient sqs;
    static String runId;

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

    /** Fails unless the call is refused with this class of exception. */
    static void refused(Class<? extends Exception> kind, Body call) {
        try {
            call.run();
        } catch (Exception error) {
            if (kind.isInstance(error)) return;
            throw new AssertionError("refused with " + error + ", wanted " + kind.getSimpleName());
        }
        throw new AssertionError("not refused, wanted " + kind.getSimpleName());
    }

    /** A queue that no other run uses; its URL. */
    static String queue(String what, Map<String, String> attributes) {
        String name = name(what) + (attributes.containsKey("FifoQueue") ? ".fifo" : "");
        return sqs.createQueue(r -> r.queueName(name).attributesWithStrings(attributes)).queueUrl();
    }

    static Map<String, String> attributes(String url) {
        return sqs.getQueueAttributes(r -> r.queueUrl(url).attributeNamesWithStrings("All")).attributesAsStrings();
    }

    static String send(String url, String body) {
        return sqs.sendMessage(r -> r.queueUrl(url).messageBody(body)).messageId();
    }

    /** Up to `count` messages with all that they carry. */
    static List<Message> receive(String url, int count, int waitSeconds) {
        return sqs.receiveMessage(r -> r.queueUrl(url).maxNumberOfMessages(count).waitTimeSeconds(waitSeconds)
            .messageAttributeNames("All").messageSystemAttributeNamesWithStrings("All")).messages();
    }

    static List<Message> receive(String url) { return receive(url, 10, 0); }

    static void delete(String url, Message message) {
        sqs.deleteMessage(r -> r.queueUrl(url).receiptHandle(message.receiptHandle()));
    }

    static List<String> bodies(List<Message> messages) { return messages.stream().map(Message::body).toList(); }

    static MessageAttributeValue text(String type, String value) {
        return MessageAttributeValue.builder().dataType(type).stringValue(value).build();
    }

    static void queues() {
        String name = name("made");
        String url = queue("made", Map.of("VisibilityTimeout", "7"));
        expect(sqs.getQueueUrl(r -> r.queueName(name)).queueUrl(), url, "GetQueueUrl");
        expect(queue("made", Map.of("VisibilityTimeout", "7")), url, "made again");
        expect(sqs.listQueues(r -> r.queueNamePrefix(name)).queueUrls(), List.of(url), "ListQueues");
        Map<String, String> had = attributes(url);
        expect(had.get("VisibilityTimeout") + " " + had.get("MessageRetentionPeriod"), "7 345600", "attributes");
        expect(had.get("QueueArn").endsWith(":" + name), true, "ARN");
        sqs.setQueueAttributes(r -> r.queueUrl(url).attributes(Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "9")));
        expect(attributes(url).get("VisibilityTimeout"), "9", "changed");
        sqs.deleteQueue(r -> r.queueUrl(url));
        expect(sqs.listQueues(r -> r.queueNamePrefix(name)).queueUrls(), List.of(), "queues after the deletion");
    }

    static void roundTrip() {
        String url = queue("round", Map.of());
        Map<String, MessageAttributeValue> attributes = Map.of(
            "colour", text("String", "reddish ✓"), "count", text("Number", "12.5"),
            "raw", MessageAttributeValue.builder().dataType("Binary.png")
                .binaryValue(SdkBytes.fromByteArray(new byte[] {0, 1, -1})).build());
        var trace = MessageSystemAttributeValue.builder().dataType("String").stringValue("Root=1-5-6").build();
        var sent = sqs.sendMessage(r -> r.queueUrl(url).messageBody("hello <&> ünï").messageAttributes(attributes)
            .messageSystemAttributes(Map.of(MessageSystemAttributeNameForSends.AWS_TRACE_HEADER, trace)));
        Message got = receive(url).get(0);
        expect(got.messageId() + got.body(), sent.messageId() + "hello <&> ünï", "message");
        expect(got.messageAttributes(), attributes, "attributes");
        expect(got.md5OfMessageAttributes(), sent.md5OfMessageAttributes(), "digest of the attributes");
        expect(got.attributesAsStrings().get("ApproximateReceiveCount"), "1", "receive count");
        expect(got.attributesAsStrings().get("AWSTraceHeader"), "Root=1-5-6", "trace");
        expect(receive(url), List.of(), "while it is hidden");
        expect(attributes(url).get("ApproximateNumberOfMessagesNotVisible"), "1", "in flight");
        delete(url, got);
        Map<String, String> counts = attributes(url);
        expect(counts.get("ApproximateNumberOfMessages"), "0", "visible at the end");
        expect(counts.get("ApproximateNumberOfMessagesNotVisible"), "0", "in flight at the end");
    }

    static void batches() {
        String url = queue("batch", Map.of());
        List<SendMessageBatchRequestEntry> entries = new ArrayList<>();
        for (int n = 0; n < 10; n++) entries.add(entry("n" + n, "body " + n));
        expect(sqs.sendMessageBatch(r -> r.queueUrl(url).entries(entries)).successful().size(), 10, "sent");
        List<Message> got = receive(url);
        expect(bodies(got), entries.stream().map(SendMessageBatchRequestEntry::messageBody).toList(), "bodies");
        List<ChangeMessageVisibilityBatchRequestEntry> change = new ArrayList<>();
        List<DeleteMessageBatchRequestEntry> remove = new ArrayList<>();
        for (Message message : got) {
            String id = "" + remove.size(), handle = remove.size() == 3 ? "nonsense" : message.receiptHandle();
            change.add(ChangeMessageVisibilityBatchRequestEntry.builder()
                .id(id).receiptHandle(message.receiptHandle()).visibilityTimeout(60).build());
            remove.add(DeleteMessageBatchRequestEntry.builder().id(id).receiptHandle(handle).build());
        }
        var longer = sqs.changeMessageVisibilityBatch(r -> r.queueUrl(url).entries(change));
        expect(longer.successful().size(), 10, "hidden for longer");
        var gone = sqs.deleteMessageBatch(r -> r.queueUrl(url).entries(remove));
        expect(gone.successful().size(), 9, "deleted");
        BatchResultErrorEntry failed = gone.failed().get(0);
        expect(failed.id() + " " + failed.code(), "3 ReceiptHandleIsInvalid", "refused");
    }

    static SendMessageBatchRequestEntry entry(String id, String body) {
        return SendMessageBatchRequestEntry.builder().id(id).messageBody(body).build();
    }

    static void limits() {
        String url = queue("limits", Map.of());
        String body = "é".repeat(512 * 1024);
        send(url, body);
        expect(receive(url).get(0).body().equals(body), true, "a megabyte");
        refused(SqsException.class, () -> send(url, body + "x"));
        refused(InvalidMessageContentsException.class, () -> send(url, "\u0001"));
    }

    static void visibility() {
        String url = queue("hidden", Map.of("VisibilityTimeout", "1"));
        send(url, "m");
        Message first = receive(url).get(0);
        expect(receive(url), List.of(), "hidden");
        Message again = receive(url, 10, 5).get(0);
        expect(again.attributesAsStrings().get("ApproximateReceiveCount"), "2", "receive count");
        refused(MessageNotInflightException.class, () -> hide(url, first, 5));
        hide(url, again, 30);
        expect(receive(url, 10, 2), List.of(), "hidden for longer");
        hide(url, again, 0);
        expect(bodies(receive(url)), List.of("m"), "shown at once");
    }

    static void hide(String url, Message message, int seconds) {
        sqs.changeMessageVisibility(r -> r.queueUrl(url).receiptHandle(message.receiptHandle()).visibilityTimeout(seconds));
    }

    static void longPolls() throws Exception {
        String url = queue("poll", Map.of());
        var waiting = CompletableFuture.supplyAsync(() -> {
            List<String> got = bodies(receive(url, 10, 20));
            return Map.entry(got, System.nanoTime());
        });
        Thread.sleep(500); // so that it waits; if it came later, it would find the message
        long sent = System.nanoTime();
        send(url, "m");
        expect(waiting.get().getKey(), List.of("m"), "what came");
        expect(waiting.get().getValue() - sent < 5_000_000_000L, true, "woken at once");
    }

    static void delays() {
        String url = queue("delay", Map.of());
        sqs.sendMessage(r -> r.queueUrl(url).messageBody("later").delaySeconds(2));
        expect(receive(url), List.of(), "not yet");
        expect(attributes(url).get("ApproximateNumberOfMessagesDelayed"), "1", "delayed");
        expect(bodies(receive(url, 10, 10)), List.of("later"), "after the delay");
    }

    static SendMessageResponse sendTo(String url, String group, int n) {
        String id = group + n;
        return sqs.sendMessage(r -> r.queueUrl(url).messageBody(id).messageGroupId(group).messageDeduplicationId(id));
    }

    static String group(Message message) { return message.attributesAsStrings().get("MessageGroupId"); }

    static void fifo() {
        String url = queue("order", Map.of("FifoQueue", "true"));
        for (int n = 0; n < 5; n++) {
            sendTo(url, "a", n);
            sendTo(url, "b", n);
        }
        SendMessageResponse one = sendTo(url, "b", 4), two = sendTo(url, "b", 4);
        expect(one.messageId() + one.sequenceNumber(), two.messageId() + two.sequenceNumber(), "a duplicate's identity");
        Message first = receive(url, 1, 0).get(0);
        List<Message> some = receive(url);
        expect(some.isEmpty(), false, "nothing of the other group");
        expect(some.stream().anyMatch(m -> group(m).equals(group(first))), false, "a message of the group in flight");
        Map<String, List<String>> got = new HashMap<>(Map.of(group(first), new ArrayList<>(List.of(first.body()))));
        delete(url, first);
        for (; !some.isEmpty(); some = receive(url)) {
            for (Message message : some) {
                got.computeIfAbsent(group(message), g -> new ArrayList<>()).add(message.body());
                delete(url, message);
            }
        }
        expect(got, Map.of("a", List.of("a0", "a1", "a2", "a3", "a4"), "b", List.of("b0", "b1", "b2", "b3", "b4")), "order");
    }

    static void deadLetters() {
        String dead = queue("dead", Map.of("VisibilityTimeout", "0"));
        String arn = attributes(dead).get("QueueArn");
        String policy = "{\"deadLetterTargetArn\":\"" + arn + "\",\"maxReceiveCount\":2}";
        String url = queue("failing", Map.of("VisibilityTimeout", "0", "RedrivePolicy", policy));
        String id = send(url, "poison");
        for (int n = 0; n < 2; n++) expect(bodies(receive(url, 10, 2)), List.of("poison"), "a try");
        expect(receive(url), List.of(), "moved");
        expect(receive(dead, 10, 5).get(0).messageId(), id, "id in the dead-letter queue");
        expect(sqs.listDeadLetterSourceQueues(r -> r.queueUrl(dead)).queueUrls(), List.of(url), "sources");
        sqs.startMessageMoveTask(r -> r.sourceArn(arn));
        expect(bodies(receive(url, 10, 10)), List.of("poison"), "moved back");
    }

    static void purge() {
        String url = queue("purge", Map.of());
        send(url, "m");
        sqs.purgeQueue(r -> r.queueUrl(url));
        expect(receive(url), List.of(), "purged");
        refused(PurgeQueueInProgressException.class, () -> sqs.purgeQueue(r -> r.queueUrl(url)));
    }

    static void tags() {
        String url = queue("tags", Map.of());
        sqs.tagQueue(r -> r.queueUrl(url).tags(Map.of("team", "a", "cost", "b")));
        sqs.untagQueue(r -> r.queueUrl(url).tagKeys("cost"));
        expect(sqs.listQueueTags(r -> r.queueUrl(url)).tags(), Map.of("team", "a"), "tags");
    }

    static void errors() {
        String url = queue("errors", Map.of()), gone = url + "-gone";
        refused(QueueDoesNotExistException.class, () -> sqs.getQueueUrl(r -> r.queueName(name("gone"))));
        refused(QueueDoesNotExistException.class, () -> send(gone, "x"));
        refused(QueueDoesNotExistException.class, () -> receive(gone));
        refused(QueueNameExistsException.class, () -> queue("errors", Map.of("VisibilityTimeout", "8")));
        refused(InvalidAttributeNameException.class,
            () -> sqs.setQueueAttributes(r -> r.queueUrl(url).attributesWithStrings(Map.of("Colour", "red"))));
        refused(InvalidAttributeValueException.class,
            () -> sqs.setQueueAttributes(r -> r.queueUrl(url).attributesWithStrings(Map.of("VisibilityTimeout", "43201"))));
        refused(ReceiptHandleIsInvalidException.class,
            () -> sqs.deleteMessage(r -> r.queueUrl(url).receiptHandle("nonsense")));
        refused(EmptyBatchRequestException.class, () -> sendBatch(url, List.of()));
        refused(TooManyEntriesInBatchRequestException.class, () -> sendBatch(url, Collections.nCopies(11, entry("a", "x"))));
        refused(BatchEntryIdsNotDistinctException.class, () -> sendBatch(url, Collections.nCopies(2, entry("a", "x"))));
        refused(InvalidBatchEntryIdException.class, () -> sendBatch(url, List.of(entry("no id!", "x"))));
        refused(ResourceNotFoundException.class,
            () -> sqs.listMessageMoveTasks(r -> r.sourceArn("arn:aws:sqs:us-east-1:000000000000:gone")));
    }

    static void sendBatch(String url, List<SendMessageBatchRequestEntry> entries) {
        sqs.sendMessageBatch(r -> r.queueUrl(url).entries(entries));
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("usage: Client ENDPOINT BOOTSTRAP RUN_ID");
            System.exit(2);
        }
        runId = arguments[2];
        sqs = SqsClient.builder()
            .endpointOverride(URI.create(arguments[0]))
            .region(Region.US_EAST_1)
            .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("anybody", "anything")))
            .httpClientBuilder(UrlConnectionHttpClient.builder())
            // Retries would hide errors.
            .overrideConfiguration(o -> o.retryStrategy(AwsRetryStrategy.doNotRetry()))
            .build();
        Map<String, Body> checks = Map.ofEntries(
            Map.entry("queues", Client::queues), Map.entry("round_trip", Client::roundTrip),
            Map.entry("batches", Client::batches), Map.entry("limits", Client::limits),
            Map.entry("visibility", Client::visibility), Map.entry("long_polls", Client::longPolls),
            Map.entry("delays", Client::delays), Map.entry("fifo", Client::fifo),
            Map.entry("dead_letters", Client::deadLetters), Map.entry("purge", Client::purge),
            Map.entry("tags", Client::tags), Map.entry("errors", Client::errors));
        // At the same time: most of it is waiting.
        var threads = Executors.newCachedThreadPool();
        var all = checks.entrySet().stream()
            .map(one -> CompletableFuture.runAsync(() -> check(one.getKey(), one.getValue()), threads)).toList();
        all.forEach(CompletableFuture::join);
        threads.shutdown();
    }
}
