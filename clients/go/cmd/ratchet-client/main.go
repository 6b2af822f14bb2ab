// Command ratchet-client publishes JSON lines, keeps a table of all payments, or carries out commands:
// ratchet-client publish|read|execute --help.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"ratchet-client/ratchet"
)

const (
	lineBytesMax   = 4 << 20
	reasonBytesMax = 1000
	postTimeout    = 30 * time.Second
	effects        = "create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)"
	effect         = "insert into ratchet_effects (payment_id, epoch, version) values ($1, $2, $3)"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) < 2 || !slices.Contains([]string{"publish", "read", "execute"}, os.Args[1]) {
		log.Fatal("usage: ratchet-client publish|read|execute --help")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	bootstrap := flags.String("bootstrap", "", "Kafka, host:port")
	prefix := flags.String("prefix", "payments.", "what all topics' names begin with")
	group := flags.String("group", "", "consumer group, to read")
	dsn := flags.String("dsn", "", "a Postgres of the reader's own")
	topics := flags.String("topics", "state,changes", "which topics are read")
	noted := flags.Bool("effects", false, "note each effect in ratchet_effects")
	source := flags.String("source", "", "the executor's name in RATCHET_EXECUTORS")
	accounts := flags.String("accounts", "", "whose commands are carried out: stripe,adyen/acme")
	url := flags.String("url", "", "where commands are posted: 2xx is done, 402 and 422 refused")
	_ = flags.Parse(os.Args[2:])
	if os.Args[1] == "publish" {
		fail(publish(ctx, *bootstrap, *prefix))
		return
	}
	if os.Args[1] == "execute" {
		fail(ratchet.Executor{
			Bootstrap: *bootstrap, Group: *group, Source: *source, Prefix: *prefix, Accounts: strings.Split(*accounts, ","),
			CarryOut: func(ctx context.Context, command ratchet.CommandRecord) error { return post(ctx, *url, command) },
		}.Run(ctx))
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

// post posts a command with its id as Idempotency-Key; any answer but 2xx, 402 and 422 leaves open what became of it.
func post(ctx context.Context, url string, command ratchet.CommandRecord) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	body, err := json.Marshal(command)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {command.ID}}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusPaymentRequired || answer.StatusCode == http.StatusUnprocessableEntity:
		text, _ := io.ReadAll(io.LimitReader(answer.Body, reasonBytesMax))
		return ratchet.Refused{Reason: string(text)}
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

func fail(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
