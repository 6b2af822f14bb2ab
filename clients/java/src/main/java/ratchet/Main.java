package ratchet;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.net.URI;
import java.sql.DriverManager;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** {@code publish} takes a JSON document a line, {topic, key, headers, value}; {@code read} keeps the table. */
public final class Main {
    private static final String EFFECTS =
            "create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)";
    private static final String EFFECT =
            "insert into ratchet_effects (payment_id, epoch, version) values (?::uuid, ?, ?)";

    public static void main(String[] words) throws Exception {
        var told = options(words);
        switch (words.length == 0 ? "" : words[0]) {
            case "publish" -> publish(told);
            case "read" -> read(told);
            default -> {
                System.err.println("usage: publish --bootstrap HOST:PORT | read --bootstrap .. --group .. --dsn ..");
                System.exit(2);
            }
        }
    }

    private static Map<String, String> options(String[] words) {
        var told = new HashMap<>(Map.of("prefix", "payments.", "topics", "state,changes"));
        for (int at = 1; at < words.length; at++) {
            var name = words[at].replaceFirst("^--", "");
            told.put(name, name.equals("effects") ? "" : words[++at]);
        }
        return told;
    }

    private static void publish(Map<String, String> told) throws Exception {
        var prefix = told.get("prefix");
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var publisher = new Publisher(told.get("bootstrap"), prefix, Map.of())) {
            for (String line; (line = lines.readLine()) != null; ) {
                var record = Publisher.JSON.readValue(line, Publisher.Published.class);
                var topic = record.topic().startsWith(prefix) ? record.topic().substring(prefix.length()) : record.topic();
                publisher.begin(
                        new Publisher.Published(topic, record.key(), record.headers(), record.value()),
                        (stands, error) -> {
                            if (error != null) {
                                System.err.println(error);
                                Runtime.getRuntime().halt(1);
                            }
                            System.out.printf("{\"topic\": \"%s\", \"partition\": %d, \"offset\": %d}%n",
                                    stands.topic(), stands.partition(), stands.offset());
                        });
            }
        }
    }

    /** Returns a DSN as libpq and the other clients have it in JDBC's words; one that begins with jdbc: is left as it is. */
    static String jdbc(String dsn) {
        if (dsn.startsWith("jdbc:")) {
            return dsn;
        }
        var uri = URI.create(dsn);
        var query = uri.getRawQuery() == null ? "" : "&" + uri.getRawQuery();
        var who = uri.getRawUserInfo() == null ? new String[0] : uri.getRawUserInfo().split(":", 2);
        var user = who.length > 0 ? "user=" + who[0] : "";
        var password = who.length > 1 ? "&password=" + who[1] : "";
        return "jdbc:postgresql://" + uri.getRawAuthority().replaceFirst("^.*@", "") + uri.getRawPath() + "?" + user
                + password + query;
    }

    private static void read(Map<String, String> told) throws Exception {
        var dsn = jdbc(told.get("dsn"));
        Reader.Effect effect = null;
        if (told.containsKey("effects")) {
            try (var connection = DriverManager.getConnection(dsn)) {
                connection.setAutoCommit(false);
                Reader.prepare(connection, EFFECTS);
            }
            effect = (transaction, payment) -> {
                try (var statement = transaction.prepareStatement(EFFECT)) {
                    statement.setString(1, payment.getPaymentID());
                    statement.setLong(2, payment.getEpoch());
                    statement.setLong(3, payment.getVersion());
                    statement.executeUpdate();
                }
            };
        }
        var topics = Arrays.stream(told.get("topics").split(",")).map(told.get("prefix")::concat).toList();
        var reader = new Reader(told.get("bootstrap"), told.get("group"), dsn, topics, effect, Map.of());
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            reader.stop();
            try {
                main.join(10_000);
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
        reader.run();
    }
}
