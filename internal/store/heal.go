package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrUnwell: a write failed for the disk's sake a moment ago, so that another is
// not even tried.
var ErrUnwell = errors.New("store: the disk is full or does not answer")

// healEvery is how often a store that failed is looked at again; in between,
// writes fail at once instead of holding up a conference for the whole patience.
const healEvery = 5 * time.Second

// ail notes that a write got no answer. The journal keeps refusing after one
// failed write, also when there is space again, until it is opened anew.
func (s *Store) ail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unwell {
		s.log.Error("the store cannot write; conferences go on, but changes to them are refused", "dir", s.dir)
	}
	s.unwell, s.looked = true, time.Now()
}

// well returns nil when writes make sense, opening the journal anew if it has
// failed before and its directory can be written again.
func (s *Store) well() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unwell {
		return nil
	}
	if time.Since(s.looked) < s.healEvery {
		return ErrUnwell
	}
	s.looked = time.Now()
	if err := writable(s.dir); err != nil {
		return ErrUnwell
	}
	if err := s.srv.ShutdownJetStream(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := s.srv.EnableJetStream(&server.JetStreamConfig{
		StoreDir: s.dir, SyncAlways: true, MaxMemory: maxValue, MaxStore: maxStore,
	}); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.unwell = false
	s.log.Info("the store writes again")
	return nil
}
