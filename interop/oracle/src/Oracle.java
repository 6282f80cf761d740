import java.io.DataOutputStream;
import java.io.OutputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.Schema;

/**
 * Apache Kafka's own message classes as the judge of our codec.
 *
 * <p>{@code Oracle LISTS RUST_FRAMES JAVA_FRAMES SEED CASES} compares our lists, decodes and encodes again what Rust
 * encoded, and writes frames of its own for Rust to decode. For each version it prints direction, API, version, passed
 * and failed; failures go to stderr. {@code crates/wire-kafka/examples/oracle.rs} tells what a frame is.
 */
public final class Oracle {
    private static final byte REQUEST = 0;
    private static final byte RESPONSE = 1;

    /** One API in one version, to count by. */
    private record Version(short key, short number) implements Comparable<Version> {
        @Override
        public int compareTo(Version other) {
            return key != other.key ? key - other.key : number - other.number;
        }
    }

    /** Passed and failed. */
    private static final Map<Version, int[]> COUNTS = new TreeMap<>();

    public static void main(String[] args) throws Exception {
        compareLists(Path.of(args[0]));
        checkFrames(ByteBuffer.wrap(Files.readAllBytes(Path.of(args[1]))));
        COUNTS.forEach((version, count) -> print("rust-to-java", version, count[0], count[1]));
        try (OutputStream out = Files.newOutputStream(Path.of(args[2]))) {
            writeFrames(out, Long.parseLong(args[3]), Integer.parseInt(args[4]));
        }
    }

    private static void print(String direction, Version version, int passed, int failed) {
        String name = ApiMessageType.fromApiKey(version.key).name;
        System.out.printf("%s\t%s\t%d\t%d\t%d%n", direction, name, version.number, passed, failed);
    }

    /** Our API keys, their versions and our error codes must be Kafka's. */
    private static void compareLists(Path path) throws Exception {
        Map<String, String> theirs = new HashMap<>();
        for (ApiKeys key : ApiKeys.values()) {
            theirs.put("api\t" + key.id, key.name);
        }
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            theirs.put("error\t" + error.code(), error.name() + "\t" + retriable);
        }
        int passed = 0;
        int failed = 0;
        for (String line : Files.readAllLines(path)) {
            String[] parts = line.split("\t");
            String expected = theirs.remove(parts[0] + "\t" + parts[1]);
            boolean same = parts[0].equals("api")
                ? parts[2].equals(expected) && (parts.length == 3 || versionsAgree(parts))
                : (parts[2] + "\t" + parts[3]).equals(expected);
            if (same) {
                passed++;
            } else {
                failed++;
                System.err.println("lists: we say " + line + ", Kafka says " + expected);
            }
        }
        for (var missing : theirs.entrySet()) {
            failed++;
            System.err.println("lists: we lack " + missing);
        }
        System.out.printf("lists\tkeys, versions, errors\t0\t%d\t%d%n", passed, failed);
    }

    private static boolean versionsAgree(String[] parts) {
        ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(parts[1]));
        return Short.parseShort(parts[3]) == type.lowestSupportedVersion()
            && Short.parseShort(parts[4]) == type.highestSupportedVersion(false);
    }

    private static void checkFrames(ByteBuffer input) {
        byte previousKind = -1;
        Version previous = null;
        while (input.hasRemaining()) {
            int size = input.getInt();
            Version version = new Version(input.getShort(), (short) 0);
            byte kind = input.get();
            version = new Version(version.key, input.getShort());
            byte[] frame = new byte[size];
            input.get(frame);
            boolean first = kind != previousKind || !version.equals(previous);
            previousKind = kind;
            previous = version;
            int[] count = COUNTS.computeIfAbsent(version, unused -> new int[2]);
            String fault = fault(version, kind, frame, first);
            if (fault == null) {
                count[0]++;
            } else {
                count[1]++;
                System.err.printf("rust-to-java: API %d kind %d v%d: %s%n  given: %s%n", version.key, kind,
                    version.number, fault, HexFormat.of().formatHex(frame));
            }
        }
    }

    /** What is wrong with a frame of ours, or null. The first of a version must show Kafka's own defaults. */
    private static String fault(Version version, byte kind, byte[] frame, boolean first) {
        try {
            ByteBuffer buffer = ByteBuffer.wrap(frame);
            ByteBufferAccessor readable = new ByteBufferAccessor(buffer);
            short headerVersion = headerVersion(version, kind);
            Message header = newHeader(kind);
            header.read(readable, headerVersion);
            int headerSize = buffer.position();
            ApiMessage body = newBody(version, kind);
            body.read(readable, version.number);
            if (buffer.hasRemaining()) {
                return buffer.remaining() + " bytes are left over";
            }
            byte[] again = join(encode(header, headerVersion), encode(body, version.number));
            if (!Arrays.equals(frame, again)) {
                return "Kafka encodes it as " + HexFormat.of().formatHex(again);
            }
            if (first) {
                ApiMessage defaults = newBody(version, kind);
                Filler.unfold(defaults, schema(version, kind));
                byte[] expected = encode(defaults, version.number);
                if (!Arrays.equals(expected, Arrays.copyOfRange(frame, headerSize, frame.length))) {
                    return "Kafka's defaults are " + defaults;
                }
            }
            return null;
        } catch (ReflectiveOperationException | RuntimeException e) {
            return e instanceof BufferUnderflowException ? "it ends too early" : e.toString();
        }
    }

    private static void writeFrames(OutputStream stream, long seed, int cases) throws Exception {
        Filler filler = new Filler(seed);
        DataOutputStream out = new DataOutputStream(stream);
        for (Version version : COUNTS.keySet()) {
            for (byte kind : new byte[] {REQUEST, RESPONSE}) {
                for (int i = 0; i < cases; i++) {
                    ApiMessage body = newBody(version, kind);
                    filler.fill(body, schema(version, kind));
                    byte[] header = encode(randomHeader(version, kind, i), headerVersion(version, kind));
                    byte[] frame = join(header, encode(body, version.number));
                    out.writeInt(frame.length);
                    out.writeShort(version.key);
                    out.writeByte(kind);
                    out.writeShort(version.number);
                    out.write(frame);
                }
            }
        }
        out.flush();
    }

    private static Message randomHeader(Version version, byte kind, int correlationId) {
        if (kind == RESPONSE) {
            return new ResponseHeaderData().setCorrelationId(correlationId);
        }
        return new RequestHeaderData()
            .setRequestApiKey(version.key)
            .setRequestApiVersion(version.number)
            .setCorrelationId(correlationId)
            .setClientId(correlationId % 3 == 0 ? null : "oracle");
    }

    private static Message newHeader(byte kind) {
        return kind == REQUEST ? new RequestHeaderData() : new ResponseHeaderData();
    }

    private static ApiMessage newBody(Version version, byte kind) {
        ApiMessageType type = ApiMessageType.fromApiKey(version.key);
        return kind == REQUEST ? type.newRequest() : type.newResponse();
    }

    private static Schema schema(Version version, byte kind) {
        ApiMessageType type = ApiMessageType.fromApiKey(version.key);
        return (kind == REQUEST ? type.requestSchemas() : type.responseSchemas())[version.number];
    }

    private static short headerVersion(Version version, byte kind) {
        ApiMessageType type = ApiMessageType.fromApiKey(version.key);
        return kind == REQUEST ? type.requestHeaderVersion(version.number) : type.responseHeaderVersion(version.number);
    }

    private static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    private static byte[] join(byte[] first, byte[] second) {
        byte[] joined = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, joined, first.length, second.length);
        return joined;
    }
}
