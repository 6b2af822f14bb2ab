// Package ratchet publishes to Ratchet and reads what it publishes; types.go is made from its JSON Schemas.
package ratchet

import (
	"context"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is what is published: the topic less its prefix ("events", "intents"), key, headers and the JSON value.
// Its header ce_id is the same whenever the record is sent again, which then has no second effect.
type Record struct {
	Topic   string            `json:"topic"`
	Key     string            `json:"key"`
	Headers map[string]string `json:"headers"`
	Value   json.RawMessage   `json:"value"`
}

// Event returns an event of source, one of RATCHET_SOURCES; data is the type that belongs to its kind.
func Event(kind, source, eventID, key string, data any) (Record, error) {
	value, err := json.Marshal(data)
	headers := map[string]string{"ce_specversion": "1.0", "ce_id": eventID, "ce_source": source, "ce_type": kind}
	return Record{"events", key, headers, value}, err
}

// Command returns a command about the payment id: a CreateRecord, CaptureRecord, CancelRecord or RefundRecord.
func Command(id, commandID string, asked any) (Record, error) {
	value, err := json.Marshal(asked)
	return Record{"intents", id, map[string]string{"ce_id": commandID}, value}, err
}

// Publisher is an idempotent producer that waits for all replicas.
type Publisher struct {
	client *kgo.Client
	prefix string
}

// NewPublisher connects to Kafka; options are franz-go's own, for TLS and SASL.
//
// The partitioner hashes keys as Java's client does (nil: murmur2), so that a key's records
// of all clients share a partition.
func NewPublisher(bootstrap, prefix string, options ...kgo.Opt) (*Publisher, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, options...)...)
	return &Publisher{client, prefix}, err
}

// Begin hands a record over; done is called once all replicas have it, or with the error.
func (p *Publisher) Begin(ctx context.Context, record Record, done func(*kgo.Record, error)) {
	sent := &kgo.Record{Topic: p.prefix + record.Topic, Key: []byte(record.Key), Value: record.Value}
	for name, text := range record.Headers {
		sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
	}
	p.client.Produce(ctx, sent, done)
}

// Send returns once all replicas have the record.
func (p *Publisher) Send(ctx context.Context, record Record) error {
	failed := make(chan error, 1)
	p.Begin(ctx, record, func(_ *kgo.Record, err error) { failed <- err })
	return <-failed
}

// Close waits for what was handed over, and disconnects.
func (p *Publisher) Close(ctx context.Context) error {
	err := p.client.Flush(ctx)
	p.client.Close()
	return err
}
