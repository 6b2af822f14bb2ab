package ratchet;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import ratchet.types.Change;

/**
 * Keeps a table of all payments in a Postgres of its own, from the topics "state" and "changes".
 *
 * <p>A record whose (epoch, version) is not above what the table holds of its payment is dropped. Row and effect are one
 * transaction, and offsets are committed after it: kill -9 at any moment leaves nothing out and does nothing twice. Where
 * an effect has to see every version, read "changes" alone. An error ends the reader; started again it goes on where its
 * last transaction was.
 */
public final class Reader {
    /** Called for each record that is above what the table held, within the transaction that keeps it. */
    @FunctionalInterface
    public interface Effect {
        void happen(Connection transaction, Change payment) throws SQLException;
    }

    private static final int RECORDS_MAX = 500;
    private static final String LOCK = "select pg_advisory_xact_lock(72657463)";
    private static final String TABLE = """
            create table if not exists ratchet_payments (
                payment_id uuid primary key, epoch bigint not null, version bigint not null, payment jsonb not null)
            """;
    private static final String KEEP = """
            insert into ratchet_payments as held (payment_id, epoch, version, payment)
            values (?::uuid, ?, ?, ?::jsonb)
            on conflict (payment_id) do update
            set epoch = excluded.epoch, version = excluded.version, payment = excluded.payment
            where (held.epoch, held.version) < (excluded.epoch, excluded.version)
            """;

    private final KafkaConsumer<String, byte[]> consumer;
    private final List<String> topics;
    private final String dsn;
    private final Effect effect;

    /** Connects to Kafka; more are the client's own settings of TLS and SASL. */
    public Reader(
            String bootstrap, String group, String dsn, List<String> topics, Effect effect, Map<String, String> more) {
        this.consumer = Consumers.of(bootstrap, group, RECORDS_MAX, more);
        this.dsn = dsn;
        this.topics = topics;
        this.effect = effect;
    }

    /** Ends run(), from any thread. */
    public void stop() {
        consumer.wakeup();
    }

    /** Reads until stop() is called. */
    public void run() throws SQLException, IOException {
        try (var connection = DriverManager.getConnection(dsn)) {
            connection.setAutoCommit(false);
            prepare(connection, TABLE);
            consumer.subscribe(topics);
            while (true) {
                step(connection);
            }
        } catch (WakeupException stopped) {
            return;
        } finally {
            consumer.close();
        }
    }

    /** Makes a table, once: two readers can't at the same time. */
    static void prepare(Connection connection, String table) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.execute(LOCK);
            statement.execute(table);
        }
        connection.commit();
    }

    private void step(Connection connection) throws SQLException, IOException {
        var fetched = consumer.poll(Duration.ofMillis(500));
        if (fetched.isEmpty()) {
            return;
        }
        var records = new ArrayList<ConsumerRecord<String, byte[]>>();
        fetched.forEach(records::add);
        // Stable, so a payment's records keep their order; two readers lock payments in the same order.
        records.sort(Comparator.comparing(record -> String.valueOf(record.key())));
        try (var keep = connection.prepareStatement(KEEP)) {
            for (var record : records) {
                take(connection, keep, record);
            }
            connection.commit();
        }
        consumer.commitSync();
    }

    private void take(Connection connection, PreparedStatement keep, ConsumerRecord<String, byte[]> record)
            throws SQLException, IOException {
        var payment = decoded(record);
        keep.setString(1, payment.getPaymentID());
        keep.setLong(2, payment.getEpoch());
        keep.setLong(3, payment.getVersion());
        keep.setString(4, new String(record.value(), StandardCharsets.UTF_8));
        if (keep.executeUpdate() == 1 && effect != null) {
            effect.happen(connection, payment);
        }
    }

    private static Change decoded(ConsumerRecord<String, byte[]> record) throws IOException {
        JsonNode value = record.value() == null ? null : Publisher.JSON.readTree(record.value());
        if (value == null || !value.hasNonNull("payment_id") || !value.hasNonNull("version")) {
            throw new IOException(record.topic() + ", partition " + record.partition() + ", offset " + record.offset()
                    + ": no record of a payment");
        }
        return Publisher.JSON.treeToValue(value, Change.class);
    }
}
