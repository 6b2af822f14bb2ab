package ratchet;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An idempotent producer that waits for all replicas. Keys are hashed by the client's own default (murmur2), so that a
 * key's records of all clients share a partition.
 */
public final class Publisher implements AutoCloseable {
    /** The generated types as JSON: a field or a value that is newer than they are is no reason to refuse a record. */
    public static final JsonMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .serializationInclusion(JsonInclude.Include.NON_NULL)
            .enable(DeserializationFeature.READ_UNKNOWN_ENUM_VALUES_AS_NULL)
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    /**
     * What is published: the topic less its prefix ("events", "intents"), key, headers and the JSON value. Its header
     * ce_id is the same whenever the record is sent again, which then has no second effect.
     */
    public record Published(String topic, String key, Map<String, String> headers, JsonNode value) {}

    private final KafkaProducer<String, byte[]> producer;
    private final String prefix;

    /** Connects to Kafka; more are the client's own settings of TLS and SASL. */
    public Publisher(String bootstrap, String prefix, Map<String, String> more) {
        var settings = new Properties();
        settings.putAll(more);
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
        settings.put(ProducerConfig.ACKS_CONFIG, "all");
        settings.put(ProducerConfig.LINGER_MS_CONFIG, 5);
        this.producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
        this.prefix = prefix;
    }

    /** Returns an event of source, one of RATCHET_SOURCES; data is the type that belongs to its kind. */
    public static Published event(String kind, String source, String eventId, String key, Object data) {
        var headers = Map.of("ce_specversion", "1.0", "ce_id", eventId, "ce_source", source, "ce_type", kind);
        return new Published("events", key, headers, JSON.valueToTree(data));
    }

    /** Returns a command about the payment id: a CreateRecord, CaptureRecord, CancelRecord or RefundRecord. */
    public static Published command(String id, String commandId, Object asked) {
        return new Published("intents", id, Map.of("ce_id", commandId), JSON.valueToTree(asked));
    }

    /** Hands a record over; done is called once all replicas have it, or with the error. */
    public void begin(Published record, Callback done) throws JsonProcessingException {
        var value = JSON.writeValueAsBytes(record.value());
        var sent = new ProducerRecord<>(prefix + record.topic(), record.key(), value);
        record.headers().forEach((name, text) -> sent.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
        producer.send(sent, done);
    }

    /** Returns once all replicas have the record. */
    public void send(Published record) throws JsonProcessingException, ExecutionException, InterruptedException {
        var sent = new CompletableFuture<Void>();
        begin(record, (stands, error) -> {
            if (error == null) {
                sent.complete(null);
            } else {
                sent.completeExceptionally(error);
            }
        });
        sent.get();
    }

    /** Waits for what was handed over, and disconnects. */
    @Override
    public void close() {
        producer.close();
    }
}
