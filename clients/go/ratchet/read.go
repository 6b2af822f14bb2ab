package ratchet

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	recordsMax = 500
	// Lock keeps two readers from making a table at once.
	Lock  = "select pg_advisory_xact_lock(72657463)"
	table = `create table if not exists ratchet_payments (
		payment_id uuid primary key, epoch bigint not null, version bigint not null, payment jsonb not null)`
	keep = `insert into ratchet_payments as held (payment_id, epoch, version, payment) values ($1, $2, $3, $4)
		on conflict (payment_id) do update
		set epoch = excluded.epoch, version = excluded.version, payment = excluded.payment
		where (held.epoch, held.version) < (excluded.epoch, excluded.version)`
)

// Effect is called for each record that is above what the table held, within the transaction that keeps it.
type Effect func(ctx context.Context, tx pgx.Tx, payment Change) error

// Reader keeps a table of all payments in a Postgres of its own, from the topics "state" and "changes".
//
// A record whose (epoch, version) is not above what the table holds of its payment is dropped. Row and effect are one
// transaction, and offsets are committed after it: kill -9 at any moment leaves nothing out and does nothing twice.
// Where an effect has to see every version, read "changes" alone. A Change of a state has no event (EventID is empty).
type Reader struct {
	Bootstrap, Group, DSN, Prefix string
	Topics                        []string
	Effect                        Effect
	Options                       []kgo.Opt
}

// Run reads until ctx ends. An error ends it; started again it goes on where its last transaction was.
func (r Reader) Run(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, r.DSN)
	if err != nil {
		return err
	}
	defer connection.Close(context.Background())
	if err := Prepare(ctx, connection, table); err != nil {
		return err
	}
	names := make([]string, len(r.Topics))
	for at, topic := range r.Topics {
		names[at] = r.Prefix + topic
	}
	client, err := kgo.NewClient(append(join(r.Bootstrap, r.Group, names...), r.Options...)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		if err := r.step(ctx, client, connection); err != nil && ctx.Err() == nil {
			return err
		}
		client.AllowRebalance()
	}
	return nil
}

func (r Reader) step(ctx context.Context, client *kgo.Client, connection *pgx.Conn) error {
	fetched := client.PollRecords(ctx, recordsMax)
	if err := fetched.Err(); err != nil {
		return err
	}
	records := fetched.Records()
	// Stable, so a payment's records keep their order; two readers lock payments in the same order.
	sort.SliceStable(records, func(a, b int) bool { return string(records[a].Key) < string(records[b].Key) })
	err := pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		for _, record := range records {
			if err := r.take(ctx, tx, record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return client.CommitRecords(ctx, fetched.Records()...)
}

func (r Reader) take(ctx context.Context, tx pgx.Tx, record *kgo.Record) error {
	var payment Change
	if err := json.Unmarshal(record.Value, &payment); err != nil || payment.PaymentID == "" {
		return fmt.Errorf("%s, partition %d, offset %d: no record of a payment", record.Topic, record.Partition, record.Offset)
	}
	done, err := tx.Exec(ctx, keep, payment.PaymentID, payment.Epoch, payment.Version, record.Value)
	if err != nil || done.RowsAffected() == 0 || r.Effect == nil {
		return err
	}
	return r.Effect(ctx, tx, payment)
}

// Prepare makes a table, once.
func Prepare(ctx context.Context, connection *pgx.Conn, statement string) error {
	return pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, Lock); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, statement)
		return err
	})
}
