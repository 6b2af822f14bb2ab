package ratchet;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.sql.DriverManager;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import ratchet.types.CommandRecord;

/**
 * {@code publish} takes a JSON document a line, {topic, key, headers, value}; {@code read} keeps the table; {@code execute}
 * posts each command to a URL.
 */
public final class Main {
    private static final String EFFECTS =
            "create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)";
    private static final String EFFECT =
            "insert into ratchet_effects (payment_id, epoch, version) values (?::uuid, ?, ?)";
    private static final Duration POST = Duration.ofSeconds(30);
    private static final int REFUSAL_LENGTH_MAX = 1000;

    public static void main(String[] words) throws Exception {
        var told = options(words);
        switch (words.length == 0 ? "" : words[0]) {
            case "publish" -> publish(told);
            case "read" -> read(told);
            case "execute" -> execute(told);
            default -> {
                System.err.println("usage: publish --bootstrap HOST:PORT | read --bootstrap .. --group .. --dsn .."
                        + " | execute --bootstrap .. --group .. --source .. --accounts stripe,adyen/acme --url ..");
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
        untilSignal(reader::stop);
        reader.run();
    }

    private static void execute(Map<String, String> told) {
        var accounts = List.of(told.get("accounts").split(","));
        var gateway = new Executor.Gateway(
                told.get("bootstrap"), told.get("group"), told.get("source"), told.get("prefix"), accounts, null);
        var http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(POST).build();
        var executor = new Executor(gateway, command -> post(http, told.get("url"), command), Map.of());
        untilSignal(executor::stop);
        executor.run();
    }

    /** Posts a command; 402 and 422 are refusals, and any other status but 2xx leaves open what became of it. */
    private static void post(HttpClient http, String url, CommandRecord command)
            throws IOException, InterruptedException, Executor.Refused {
        var request = HttpRequest.newBuilder(URI.create(url))
                .timeout(POST)
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", command.getID())
                .POST(HttpRequest.BodyPublishers.ofByteArray(Publisher.JSON.writeValueAsBytes(command)))
                .build();
        var answer = http.send(request, HttpResponse.BodyHandlers.ofInputStream());
        try (var body = answer.body()) {
            if (answer.statusCode() == 402 || answer.statusCode() == 422) {
                throw new Executor.Refused(new String(body.readNBytes(REFUSAL_LENGTH_MAX), StandardCharsets.UTF_8));
            }
        }
        if (answer.statusCode() / 100 != 2) {
            throw new IOException(url + " answered " + answer.statusCode());
        }
    }

    private static void untilSignal(Runnable stop) {
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop.run();
            try {
                main.join(10_000);
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
    }
}
