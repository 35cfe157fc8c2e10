package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver notes what came and answers by a list of codes, then 200.
type receiver struct {
	*httptest.Server
	codes chan int
	got   chan *http.Request
	body  chan []byte
}

func receive(t *testing.T, codes ...int) *receiver {
	r := &receiver{codes: make(chan int, 100), got: make(chan *http.Request, 100), body: make(chan []byte, 100)}
	for _, c := range codes {
		r.codes <- c
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.got <- q
		r.body <- b
		select {
		case c := <-r.codes:
			if c == 302 {
				w.Header().Set("Location", "/elsewhere")
			}
			w.WriteHeader(c)
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) next(t *testing.T) (*http.Request, []byte) {
	t.Helper()
	select {
	case q := <-r.got:
		return q, <-r.body
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		return nil, nil
	}
}

func run(t *testing.T, cfg Config) *Sender {
	cfg.Wait = func(context.Context, time.Duration) {}
	s := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(g.Wait)
	t.Cleanup(cancel)
	return s
}

func (s *Sender) settled(t *testing.T, ok func(Stats) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(s.Stats()); {
		if time.Now().After(end) {
			t.Fatalf("%+v", s.Stats())
		}
		runtime.Gosched()
	}
}

func TestSignedInOrderAndTriedAgain(t *testing.T) {
	r := receive(t, 500, 429)
	s := run(t, Config{URLs: []string{r.URL + "/hook"}, Secret: "s3cret", Loopback: true})
	for _, e := range []string{"conference.started", "participant.joined"} {
		s.Send(api.WebhookEvent{Event: e, Conference: "standup", Body: json.RawMessage(`{}`)})
	}
	var ids []string
	for i := range 4 { // three tries of the first, one of the second
		q, b := r.next(t)
		stamp := q.Header.Get(HeaderTimestamp)
		if q.Header.Get(HeaderSignature) != Sign("s3cret", stamp, b) {
			t.Fatalf("%d: signature %s", i, q.Header.Get(HeaderSignature))
		}
		if n, err := strconv.ParseInt(stamp, 10, 64); err != nil || n < 1e9 {
			t.Fatalf("timestamp %q", stamp)
		}
		var e api.WebhookEvent
		if err := json.Unmarshal(b, &e); err != nil || e.ID != q.Header.Get(HeaderEvent) {
			t.Fatalf("%s %v", b, err)
		}
		ids = append(ids, e.ID)
	}
	if ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] {
		t.Fatal(ids)
	}
	s.settled(t, func(st Stats) bool { return st.Delivered == 2 && st.Retried == 2 })
	if Sign("s3cret", "1", []byte("x")) == Sign("s3cret", "2", []byte("x")) {
		t.Fatal("the time is not signed")
	}
}

func TestRefusalsAndRedirectsAreNotFollowed(t *testing.T) {
	r := receive(t, 302, 404)
	s := run(t, Config{URLs: []string{r.URL}, Secret: "s", Loopback: true})
	s.Send(api.WebhookEvent{Event: "a"})
	s.Send(api.WebhookEvent{Event: "b"})
	s.settled(t, func(st Stats) bool { return st.GivenUp == 2 })
	for range 2 {
		if q, _ := r.next(t); q.URL.Path != "/" {
			t.Fatalf("followed to %s", q.URL.Path)
		}
	}
}

func TestSpecialAddressesAreNotDialled(t *testing.T) {
	r := receive(t)
	s := run(t, Config{URLs: []string{r.URL}, Secret: "s"}) // loopback is not allowed here
	s.Send(api.WebhookEvent{Event: "a"})
	s.settled(t, func(st Stats) bool { return st.GivenUp == 1 && st.Retried == 0 })
	if len(r.got) != 0 {
		t.Fatal("it came through")
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := New(Config{URLs: []string{"https://example.org/"}, Secret: "s"}) // not running
	for range queueLength + 50 {
		s.Send(api.WebhookEvent{Event: "a"})
	}
	if st := s.Stats(); st.Waiting != queueLength || st.Dropped != 50 {
		t.Fatalf("%+v", st)
	}
}
