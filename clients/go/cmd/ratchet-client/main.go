// Command ratchet-client publishes JSON lines, or keeps a table of all payments: ratchet-client publish|read --help.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"ratchet-client/ratchet"
)

const (
	lineBytesMax = 4 << 20
	effects      = "create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)"
	effect       = "insert into ratchet_effects (payment_id, epoch, version) values ($1, $2, $3)"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) < 2 || (os.Args[1] != "publish" && os.Args[1] != "read") {
		log.Fatal("usage: ratchet-client publish|read --help")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	bootstrap := flags.String("bootstrap", "", "Kafka, host:port")
	prefix := flags.String("prefix", "payments.", "what all topics' names begin with")
	group := flags.String("group", "", "consumer group, to read")
	dsn := flags.String("dsn", "", "a Postgres of the reader's own")
	topics := flags.String("topics", "state,changes", "which topics are read")
	noted := flags.Bool("effects", false, "note each effect in ratchet_effects")
	_ = flags.Parse(os.Args[2:])
	if os.Args[1] == "publish" {
		fail(publish(ctx, *bootstrap, *prefix))
		return
	}
	reader := ratchet.Reader{
		Bootstrap: *bootstrap, Group: *group, DSN: *dsn, Prefix: *prefix, Topics: strings.Split(*topics, ","),
	}
	if *noted {
		connection, err := pgx.Connect(ctx, *dsn)
		fail(err)
		fail(ratchet.Prepare(ctx, connection, effects))
		fail(connection.Close(ctx))
		reader.Effect = func(ctx context.Context, tx pgx.Tx, payment ratchet.Change) error {
			_, err := tx.Exec(ctx, effect, payment.PaymentID, payment.Epoch, payment.Version)
			return err
		}
	}
	fail(reader.Run(ctx))
}

// publish takes a JSON document a line, {topic, key, headers, value}, and prints where each stands once it is durable.
func publish(ctx context.Context, bootstrap, prefix string) error {
	publisher, err := ratchet.NewPublisher(bootstrap, prefix)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		var record ratchet.Record
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return err
		}
		record.Topic = strings.TrimPrefix(record.Topic, prefix)
		publisher.Begin(ctx, record, func(sent *kgo.Record, err error) {
			fail(err)
			fmt.Printf("{\"topic\": %q, \"partition\": %d, \"offset\": %d}\n", sent.Topic, sent.Partition, sent.Offset)
		})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return publisher.Close(ctx)
}

func fail(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
