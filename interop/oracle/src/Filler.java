import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Locale;
import java.util.Random;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.MemoryRecords;

/** Fills Kafka's own message objects by reflection, with what the schema of one version carries. */
final class Filler {
    private final Random random;

    Filler(long seed) {
        random = new Random(seed);
    }

    /** Random values in all fields that the schema carries; tagged ones only half of the time. */
    void fill(Object message, Schema schema) throws ReflectiveOperationException {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (var field : tagged.fields().values()) {
                    if (random.nextBoolean()) {
                        set(message, field);
                    }
                }
            } else {
                set(message, bound.def);
            }
        }
    }

    /** One default element in each empty array that the schema carries, so that the defaults of parts show. */
    static void unfold(Object message, Schema schema) throws ReflectiveOperationException {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (var field : tagged.fields().values()) {
                    unfoldField(message, field);
                }
            } else {
                unfoldField(message, bound.def);
            }
        }
    }

    private static void unfoldField(Object message, org.apache.kafka.common.protocol.types.Field def)
            throws ReflectiveOperationException {
        Field field = find(message.getClass(), def.name);
        Object value = field.get(message);
        var element = def.type.arrayElementType();
        if (element.isPresent() && value != null) {
            Class<?> type = elementClass(field.getGenericType());
            Object one = element.get() instanceof Schema ? type.getDeclaredConstructor().newInstance() : zero(type);
            if (element.get() instanceof Schema nested) {
                unfold(one, nested);
            }
            field.set(message, collection(field.getType()));
            add(field.get(message), one);
        } else if (def.type instanceof Schema nested && value != null) {
            unfold(value, nested);
        }
    }

    private static Object zero(Class<?> type) {
        if (type == String.class) return "";
        if (type == Integer.class) return 0;
        if (type == Short.class) return (short) 0;
        if (type == Long.class) return 0L;
        if (type == Byte.class) return (byte) 0;
        if (type == Uuid.class) return Uuid.ZERO_UUID;
        throw new IllegalStateException("no zero of " + type);
    }

    private void set(Object message, org.apache.kafka.common.protocol.types.Field def)
            throws ReflectiveOperationException {
        Field field = find(message.getClass(), def.name);
        // A part that can be null has no mark in the schema, but null is its default.
        boolean nullable = def.type.isNullable() || (def.type instanceof Schema && field.get(message) == null);
        if (nullable && random.nextInt(4) == 0) {
            field.set(message, null);
            return;
        }
        var element = def.type.arrayElementType();
        if (element.isEmpty()) {
            field.set(message, value(field.getType(), def.type));
            return;
        }
        Class<?> type = elementClass(field.getGenericType());
        Object elements = collection(field.getType());
        int count = random.nextInt(element.get() instanceof Schema || random.nextInt(8) != 0 ? 4 : 200);
        for (int i = 0; i < count; i++) {
            add(elements, value(type, element.get()));
        }
        field.set(message, elements);
    }

    private Object value(Class<?> type, org.apache.kafka.common.protocol.types.Type wire)
            throws ReflectiveOperationException {
        if (wire instanceof Schema nested) {
            Object part = type.getDeclaredConstructor().newInstance();
            fill(part, nested);
            return part;
        }
        if (type == boolean.class || type == Boolean.class) return random.nextBoolean();
        if (type == byte.class || type == Byte.class) return (byte) integer();
        if (type == short.class || type == Short.class) return (short) integer();
        if (type == int.class || type == Integer.class) return (int) integer();
        if (type == long.class || type == Long.class) return integer();
        if (type == String.class) return text();
        if (type == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
        if (type == byte[].class) return bytes();
        if (type == ByteBuffer.class) return ByteBuffer.wrap(bytes());
        if (type.getSimpleName().equals("BaseRecords")) return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        throw new IllegalStateException("no value of " + type);
    }

    private long integer() {
        return switch (random.nextInt(8)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> Long.MAX_VALUE;
            case 3 -> Long.MIN_VALUE;
            default -> random.nextLong();
        };
    }

    private int length() {
        return random.nextInt(random.nextInt(16) == 0 ? 700 : 12);
    }

    private String text() {
        int length = length();
        StringBuilder text = new StringBuilder();
        String[] letters = {"a", "Z", "0", "-", " ", "é", "☂", "🜁", "\0"};
        for (int i = 0; i < length; i++) {
            text.append(letters[random.nextInt(letters.length)]);
        }
        return text.toString();
    }

    private byte[] bytes() {
        byte[] bytes = new byte[length()];
        random.nextBytes(bytes);
        return bytes;
    }

    /** The Java field of a name of the schema: the same letters, in another case. */
    private static Field find(Class<?> type, String name) {
        String letters = name.replace("_", "");
        for (Field field : type.getDeclaredFields()) {
            if (field.getName().toLowerCase(Locale.ROOT).equals(letters)) {
                field.setAccessible(true);
                return field;
            }
        }
        throw new IllegalStateException("no field " + name + " in " + type);
    }

    /** What a list, or one of Kafka's own collections, holds. */
    private static Class<?> elementClass(Type type) {
        Type holder = type instanceof Class<?> own ? own.getGenericSuperclass() : type;
        return (Class<?>) ((ParameterizedType) holder).getActualTypeArguments()[0];
    }

    private static Object collection(Class<?> type) throws ReflectiveOperationException {
        return type.isInterface() ? new ArrayList<>() : type.getDeclaredConstructor().newInstance();
    }

    @SuppressWarnings("unchecked")
    private static void add(Object collection, Object element) {
        ((Collection<Object>) collection).add(element);
    }
}
