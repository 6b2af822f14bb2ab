package ratchet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	pauseMin         = 500 * time.Millisecond
	pauseMax         = 30 * time.Second
	reasonLengthMax  = 200
	eventIDLengthMax = 400
)

// unreadable is breaks, controls and characters that show nothing: they have no place in a reason that people read.
var unreadable = regexp.MustCompile(
	`[\s\x{0}-\x{1f}\x{7f}-\x{a0}\x{ad}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fff9}-\x{ffff}]+`)

// Refused is what CarryOut returns where the provider won't carry a command out.
type Refused struct{ Reason string }

func (r Refused) Error() string { return r.Reason }

// Executor carries out the commands of some accounts, such as "stripe" and "adyen/acme", and answers them as Source.
//
// CarryOut gets each command at least once and has to be idempotent: ID is the provider's idempotency key. An error that
// is not Refused leaves open what became of the command: CarryOut is called again, after growing pauses, until that is
// known or the command has expired; after that none is begun. Commands of one payment are carried out one after another,
// different payments side by side. Offsets are committed up to the first command that is open: after kill -9 those come
// again, and their answers are the same. Livemode leaves out live or test commands.
type Executor struct {
	Bootstrap, Group, Source, Prefix string
	Accounts                         []string
	Livemode                         *bool
	CarryOut                         func(ctx context.Context, command CommandRecord) error
	Options                          []kgo.Opt
}

// run is one run of an executor: what is open, by partition in order, and the last of each payment.
type run struct {
	Executor
	publisher *Publisher
	lock      sync.Mutex
	open      map[int32][]*open
	last      map[string]*open
}

// Run carries out commands until ctx ends. An error ends it; started again it goes on where it was.
func (e Executor) Run(ctx context.Context) error {
	publisher, err := NewPublisher(e.Bootstrap, e.Prefix, e.Options...)
	if err != nil {
		return err
	}
	defer publisher.Close(context.Background())
	r := &run{Executor: e, publisher: publisher, open: map[int32][]*open{}, last: map[string]*open{}}
	member := append(join(e.Bootstrap, e.Group, e.Prefix+"commands"),
		kgo.OnPartitionsRevoked(r.revoked), kgo.OnPartitionsLost(r.leave))
	client, err := kgo.NewClient(append(member, e.Options...)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		if err := r.step(ctx, client); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// deal carries out the command of one record, where it is this executor's.
func (r *run) deal(ctx context.Context, record *kgo.Record) error {
	var command CommandRecord
	err := json.Unmarshal(record.Value, &command)
	expires, wrong := time.Parse(time.RFC3339, command.ExpiresAt)
	if err != nil || wrong != nil || command.ID == "" || command.PaymentID == "" {
		return fmt.Errorf("%s, partition %d, offset %d: no command", record.Topic, record.Partition, record.Offset)
	}
	if !r.wants(command) || !time.Now().Before(expires) {
		return nil
	}
	if err := r.answer(ctx, command, "accepted", ""); err != nil {
		return err
	}
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		err := r.CarryOut(ctx, command)
		var refused Refused
		if err == nil {
			return r.answer(ctx, command, "done", "")
		} else if errors.As(err, &refused) {
			return r.answer(ctx, command, "refused", refused.Reason)
		}
		log.Printf("command %s of payment %s: %v", command.ID, command.PaymentID, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		if !time.Now().Before(expires) {
			log.Printf("command %s: it expired, and nobody knows what became of it at the provider", command.ID)
			return nil
		}
	}
}

func (r *run) wants(command CommandRecord) bool {
	account := command.Provider
	if command.Account != "" {
		account += "/" + command.Account
	}
	return slices.Contains(r.Accounts, account) && (r.Livemode == nil || *r.Livemode == command.Livemode)
}

func (r *run) answer(ctx context.Context, command CommandRecord, state, reason string) error {
	var data any = CommandAnswered{ID: command.PaymentID, CommandID: command.ID}
	if state == "refused" {
		text := []rune(cmp.Or(strings.TrimSpace(unreadable.ReplaceAllString(reason, " ")), "refused by the provider"))
		data = CommandRefused{
			ID: command.PaymentID, CommandID: command.ID, Reason: string(text[:min(len(text), reasonLengthMax)]),
		}
	}
	record, err := Event("command."+state, r.Source, answerID(command.ID, state), command.PaymentID, data)
	if err != nil {
		return err
	}
	return r.publisher.Send(ctx, record)
}

// answerID returns an answer's ce_id: the same whenever it is given.
func answerID(commandID, state string) string {
	readable := commandID + ":" + state
	if len([]rune(readable)) <= eventIDLengthMax {
		return readable
	}
	digest := sha256.Sum256([]byte(readable))
	return hex.EncodeToString(digest[:])
}
