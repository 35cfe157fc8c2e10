package focus

import (
	"errors"
	"sync"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/control"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// item is one thing for a room to do: a request, a subscribe, an internal fact
// or a media event.
type item struct {
	caller  control.Caller
	session *session
	uri     string
	at      clock.Time
	ttlMs   int
	reply   func(*api.Response)

	method string
	params any
	ifRev  *uint64
	offer  *sdp.Description // parsed, when the parameters hold one
	err    error            // what was wrong with the parameters
	unread error            // what was wrong with the description, if it is for the server
	plain  *plainCall       // about an endpoint of plain RTP

	sub   *api.Subscribe
	look  func(*room)
	fact  string
	event *plane.Event
	paths []sample
	stats *statsAsked
}

var errClosed = errors.New("focus: the room is gone")

// mailbox is a room's inbox. Requests are refused when it is full; facts never
// are, since there are only a few per session, link and track; speaker changes
// replace each other and data messages are dropped. Safe for concurrent use.
type mailbox struct {
	mu       sync.Mutex
	queue    []*item
	limit    int
	closed   bool
	speakers *item // waiting already
	wake     chan struct{}
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, wake: make(chan struct{}, 1)}
}

// put adds a request.
func (b *mailbox) put(it *item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errClosed
	case len(b.queue) >= b.limit:
		return overloaded("the conference is busy")
	}
	b.push(it)
	return nil
}

// force adds a fact.
func (b *mailbox) force(it *item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.push(it)
	}
}

func (b *mailbox) media(e plane.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return
	case e.Kind == plane.SpeakersChanged && b.speakers != nil:
		b.speakers.event = &e
		return
	case e.Kind == plane.DataMessage && len(b.queue) >= b.limit:
		return
	}
	it := &item{event: &e}
	if e.Kind == plane.SpeakersChanged {
		b.speakers = it
	}
	b.push(it)
}

func (b *mailbox) push(it *item) {
	b.queue = append(b.queue, it)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *mailbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// take returns everything that waits.
func (b *mailbox) take() []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue, b.speakers = nil, nil
	return q
}

// close refuses further items and returns those left.
func (b *mailbox) close() []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue, b.speakers, b.closed = nil, nil, true
	return q
}

// wait blocks until an item comes or d has passed; d < 0: however long.
func (b *mailbox) wait(d time.Duration, t *time.Timer) {
	if d < 0 {
		<-b.wake
		return
	}
	t.Reset(d)
	select {
	case <-b.wake:
		t.Stop()
	case <-t.C:
	}
}
