package ratchet;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.Collection;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import ratchet.types.CommandAnswered;
import ratchet.types.CommandRecord;
import ratchet.types.CommandRefused;

/**
 * Carries out the commands of some accounts, such as "stripe" and "adyen/acme", and answers them as source.
 *
 * <p>The function gets each command at least once and has to be idempotent: its id is the provider's idempotency key. An
 * exception that is not Refused leaves open what became of the command: the function is called again, after growing pauses,
 * until that is known or the command has expired; after that none is begun. Commands of one payment are carried out one after
 * another, different payments side by side. Offsets are committed up to the first command that is open: after kill -9 those
 * come again, and their answers are the same.
 */
public final class Executor {
    /** Carries one command out; called from several threads, for several payments. */
    @FunctionalInterface
    public interface CarryOut {
        void happen(CommandRecord command) throws Exception;
    }

    /** The provider won't carry the command out, for this reason; the client may use its money for something else. */
    public static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        public Refused(String reason) {
            super(reason == null ? "" : reason);
        }
    }

    /** Where commands come from: group, the name in RATCHET_EXECUTORS, its accounts; livemode (or null) leaves some out. */
    public record Gateway(
            String bootstrap, String group, String source, String prefix, Collection<String> accounts, Boolean livemode) {}

    private static final long PAUSE_MIN_MS = 500;
    private static final long PAUSE_MAX_MS = 30_000;
    private static final int REASON_LENGTH_MAX = 200;
    private static final int EVENT_ID_LENGTH_MAX = 400;
    /** Breaks, controls and characters that show nothing: they have no place in a reason that people read in one line. */
    private static final Pattern UNREADABLE = Pattern.compile("[\\s\\x00-\\x1f\\x7f-\\xa0\\xad\\u061c\\u200b-\\u200f"
            + "\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\uffff]+");

    private final Gateway gateway;
    private final CarryOut carryOut;
    private final Map<String, String> more;
    private final Ordered ordered;
    private Publisher publisher;

    /** Prepares a run; more are the client's own settings of TLS and SASL. */
    public Executor(Gateway gateway, CarryOut carryOut, Map<String, String> more) {
        this.gateway = gateway;
        this.carryOut = carryOut;
        this.more = more;
        this.ordered = new Ordered(gateway.bootstrap(), gateway.group(), gateway.prefix() + "commands", more, this::deal);
    }

    /** Ends run(), from any thread. */
    public void stop() {
        ordered.stop();
    }

    /** Carries out commands until stop() is called. An error ends it; started again it goes on where it was. */
    public void run() {
        try (var connected = new Publisher(gateway.bootstrap(), gateway.prefix(), more)) {
            publisher = connected;
            ordered.run();
        }
    }

    /** Carries out the command of one record, where it is this executor's; left is open until somebody else gets it. */
    private void deal(ConsumerRecord<String, byte[]> record, CountDownLatch left) throws Exception {
        var command = decoded(record);
        if (!wants(command) || expired(command) || left.getCount() == 0) {
            return;
        }
        answer(command, "accepted", null);
        for (long pause = PAUSE_MIN_MS; !known(command); pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
            if (left.await(pause, TimeUnit.MILLISECONDS)) {
                return;
            }
            if (expired(command)) {
                say(command, "it expired, and nobody knows what became of it at the provider");
                return;
            }
        }
    }

    /** Calls the function once; answers and returns true where it is known what became of the command. */
    private boolean known(CommandRecord command) throws Exception {
        try {
            carryOut.happen(command);
        } catch (Refused refused) {
            answer(command, "refused", refused.getMessage());
            return true;
        } catch (Exception error) { // whatever it was: the provider may have done it
            say(command, error.toString());
            return false;
        }
        answer(command, "done", null);
        return true;
    }

    private boolean wants(CommandRecord command) {
        var account = command.getAccount().isEmpty()
                ? command.getProvider()
                : command.getProvider() + "/" + command.getAccount();
        return gateway.accounts().contains(account)
                && (gateway.livemode() == null || gateway.livemode() == command.getLivemode());
    }

    private static boolean expired(CommandRecord command) {
        return !Instant.now().isBefore(OffsetDateTime.parse(command.getExpiresAt()).toInstant());
    }

    private void answer(CommandRecord command, String state, String reason)
            throws JsonProcessingException, ExecutionException, InterruptedException {
        Object data = reason == null ? answered(command) : refused(command, reason);
        publisher.send(Publisher.event(
                "command." + state, gateway.source(), answerId(command.getID(), state), command.getPaymentID(), data));
    }

    private static CommandAnswered answered(CommandRecord command) {
        var answer = new CommandAnswered();
        answer.setID(command.getPaymentID());
        answer.setCommandID(command.getID());
        return answer;
    }

    private static CommandRefused refused(CommandRecord command, String reason) {
        var text = new StringBuilder();
        var line = UNREADABLE.matcher(reason).replaceAll(" ").strip();
        line.codePoints().limit(REASON_LENGTH_MAX).forEach(text::appendCodePoint);
        var answer = new CommandRefused();
        answer.setID(command.getPaymentID());
        answer.setCommandID(command.getID());
        answer.setReason(text.isEmpty() ? "refused by the provider" : text.toString());
        return answer;
    }

    /** Returns an answer's ce_id: the same whenever it is given. */
    static String answerId(String commandId, String state) {
        var readable = commandId + ":" + state;
        if (readable.codePointCount(0, readable.length()) <= EVENT_ID_LENGTH_MAX) {
            return readable;
        }
        try {
            var digest = MessageDigest.getInstance("SHA-256").digest(readable.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest);
        } catch (NoSuchAlgorithmException impossible) { // every Java has it
            throw new IllegalStateException(impossible);
        }
    }

    private static void say(CommandRecord command, String text) {
        System.err.println("command " + command.getID() + " of payment " + command.getPaymentID() + ": " + text);
    }

    /** Returns a record as a command; one that this client does not know is not carried out by halves. */
    private static CommandRecord decoded(ConsumerRecord<String, byte[]> record) throws IOException {
        try {
            var command = Publisher.JSON.readValue(record.value(), CommandRecord.class);
            OffsetDateTime.parse(command.getExpiresAt());
            if (command.getID() != null && command.getPaymentID() != null && command.getCommand() != null) {
                return command;
            }
        } catch (IOException | IllegalArgumentException | NullPointerException | DateTimeException none) {
            // named below
        }
        throw new IOException(record.topic() + ", partition " + record.partition() + ", offset " + record.offset()
                + ": no command");
    }
}
