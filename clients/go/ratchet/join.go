package ratchet

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sessionTimeout is how long a group waits for a member that was killed; the library's own default is 45 seconds.
const sessionTimeout = 10 * time.Second

// join returns how the reader and the executor join a group: from the topics' first records on, offsets committed by hand.
func join(bootstrap, group string, topics ...string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	}
}
