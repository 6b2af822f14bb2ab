package ratchet

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	openMax = 50
	pollFor = 200 * time.Millisecond
)

// open is a command that is being carried out.
type open struct {
	record *kgo.Record
	done   chan struct{}
	err    error
	stop   context.CancelFunc
}

// step begins what has come, as far as there is room, and commits how far each partition is.
func (r *run) step(ctx context.Context, client *kgo.Client) error {
	defer client.AllowRebalance()
	within, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	if room := openMax - r.count(); room > 0 {
		fetched := client.PollRecords(within, room)
		if err := fetched.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		fetched.EachRecord(func(record *kgo.Record) { r.begin(ctx, record) })
	} else {
		<-within.Done()
	}
	return r.commit(ctx, client)
}

// begin carries a record out once the earlier ones of its payment have ended.
func (r *run) begin(ctx context.Context, record *kgo.Record) {
	ctx, stop := context.WithCancel(ctx)
	one, key := &open{record: record, done: make(chan struct{}), stop: stop}, string(record.Key)
	r.lock.Lock()
	earlier := r.last[key]
	r.last[key] = one
	r.open[record.Partition] = append(r.open[record.Partition], one)
	r.lock.Unlock()
	go func() {
		defer r.forget(key, one)
		defer close(one.done)
		defer stop()
		if earlier != nil {
			<-earlier.done
			if one.err = earlier.err; one.err != nil && !errors.Is(one.err, context.Canceled) {
				return
			}
		}
		if one.err = ctx.Err(); one.err == nil {
			one.err = r.deal(ctx, record)
		}
	}()
}

func (r *run) forget(key string, one *open) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.last[key] == one {
		delete(r.last, key)
	}
}

// commit commits each partition up to its first record that is open. One that has failed ends the run.
func (r *run) commit(ctx context.Context, client *kgo.Client) error {
	ended, err := r.ended()
	if err != nil || len(ended) == 0 {
		return err
	}
	err = client.CommitRecords(ctx, ended...)
	for _, moved := range []error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID} {
		if errors.Is(err, moved) {
			return nil // whoever gets the partition reads them again
		}
	}
	return err
}

// ended takes out what has ended, and returns of each partition the last record before the first that is open.
func (r *run) ended() (records []*kgo.Record, err error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for partition, opened := range r.open {
		var before *kgo.Record
		for len(opened) > 0 && isDone(opened[0]) {
			if opened[0].err != nil {
				return nil, opened[0].err
			}
			before, opened = opened[0].record, opened[1:]
		}
		r.open[partition] = opened
		if before != nil {
			records = append(records, before)
		}
	}
	return records, nil
}

func isDone(one *open) bool {
	select {
	case <-one.done:
		return true
	default:
		return false
	}
}

func (r *run) count() (found int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, opened := range r.open {
		found += len(opened)
	}
	return found
}

// revoked commits what has ended, and leaves what is open.
func (r *run) revoked(ctx context.Context, client *kgo.Client, given map[string][]int32) {
	_ = r.commit(ctx, client) // what fails here is read again
	r.leave(ctx, client, given)
}

// leave leaves what is open to whoever gets the partitions: there is no bound on how long a provider may be away.
func (r *run) leave(_ context.Context, _ *kgo.Client, given map[string][]int32) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, partitions := range given {
		for _, partition := range partitions {
			for _, one := range r.open[partition] {
				one.stop()
			}
			delete(r.open, partition)
		}
	}
}
