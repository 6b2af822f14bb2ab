package ratchet;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;

/** Deals with a topic's records side by side, those of one key in order, and commits how far each partition is. */
final class Ordered implements ConsumerRebalanceListener {
    /** Deals with one record; an error ends the run. It returns at once when left is counted down. */
    @FunctionalInterface
    interface Deal {
        void happen(ConsumerRecord<String, byte[]> record, CountDownLatch left) throws Exception;
    }

    private record Open(long offset, CompletableFuture<Void> done) {}

    /** What of a partition is open, in order, until somebody else gets it. */
    private record Partition(Queue<Open> open, CountDownLatch left) {}

    private static final int OPEN_MAX = 50;
    private static final Duration POLL = Duration.ofMillis(200);

    private final KafkaConsumer<String, byte[]> consumer;
    private final String topic;
    private final Deal deal;
    private final Map<TopicPartition, Partition> partitions = new HashMap<>();
    private final Map<String, CompletableFuture<Void>> last = new HashMap<>();
    private final ExecutorService threads = Executors.newCachedThreadPool(task -> {
        var thread = new Thread(task, "ratchet-executor");
        thread.setDaemon(true);
        return thread;
    });

    Ordered(String bootstrap, String group, String topic, Map<String, String> more, Deal deal) {
        this.consumer = Consumers.of(bootstrap, group, OPEN_MAX, more);
        this.topic = topic;
        this.deal = deal;
    }

    void stop() {
        consumer.wakeup();
    }

    void run() {
        try {
            consumer.subscribe(List.of(topic), this);
            while (true) {
                step();
            }
        } catch (WakeupException stopped) {
            return;
        } finally {
            partitions.values().forEach(one -> one.left().countDown());
            threads.shutdownNow();
            consumer.close();
        }
    }

    /** Begins what has come, as far as there is room; without room it goes on polling, or the group takes it for dead. */
    private void step() {
        if (partitions.values().stream().mapToInt(one -> one.open().size()).sum() >= OPEN_MAX) {
            consumer.pause(consumer.assignment());
        } else {
            consumer.resume(consumer.paused());
        }
        consumer.poll(POLL).forEach(this::begin);
        commit();
    }

    /** Deals with a record once the earlier ones of its key have ended; where one of them failed the run ends first. */
    private void begin(ConsumerRecord<String, byte[]> record) {
        var place = new TopicPartition(record.topic(), record.partition());
        var partition = partitions.computeIfAbsent(
                place, made -> new Partition(new ArrayDeque<>(), new CountDownLatch(1)));
        var key = String.valueOf(record.key());
        var done = last.getOrDefault(key, CompletableFuture.completedFuture(null))
                .thenRunAsync(() -> deal(record, partition.left()), threads);
        last.put(key, done);
        partition.open().add(new Open(record.offset(), done));
    }

    private void deal(ConsumerRecord<String, byte[]> record, CountDownLatch left) {
        try {
            deal.happen(record, left);
        } catch (Exception error) {
            throw new CompletionException(error);
        }
    }

    /** Commits each partition up to its first record that is open; an error of one that has ended is thrown. */
    private void commit() {
        var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
        partitions.forEach((place, partition) -> {
            var open = partition.open();
            while (!open.isEmpty() && open.peek().done().isDone()) {
                open.peek().done().join();
                offsets.put(place, new OffsetAndMetadata(open.remove().offset() + 1));
            }
        });
        last.values().removeIf(done -> done.isDone() && !done.isCompletedExceptionally());
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets);
        } catch (CommitFailedException | RebalanceInProgressException moved) {
            return; // whoever gets the partition reads them again
        }
    }

    /** Leaves what is open to whoever gets the partitions: there is no bound on how long a provider may be away. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        commit();
        onPartitionsLost(revoked);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        for (var place : lost) {
            var partition = partitions.remove(place);
            if (partition != null) {
                partition.left().countDown();
            }
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        // nothing has to be made ready
    }
}
