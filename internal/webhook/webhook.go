// Package webhook tells configured addresses what happens in conferences: one
// signed POST per event, in order, tried again until it is taken or given up.
// It knows nothing of conferences beyond the event it is handed, and talks to
// nobody but the configured URLs: no redirects, no proxies, and no addresses of
// special ranges, whatever a name resolves to.
//
// Threading: Send is safe from any goroutine and never waits; Run owns one
// goroutine per URL until its context ends.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"parley/api"
	"parley/internal/base/iana"
	"parley/internal/base/ids"
)

const (
	queueLength = 1000             // events waiting per URL; beyond it the oldest go
	tries       = 8                // of one event
	firstWait   = time.Second      // doubled each time
	longestWait = 2 * time.Minute  // so that an event is given up after some four minutes
	perTry      = 10 * time.Second // from dialling to the answer
)

// Headers of a delivery.
const (
	HeaderTimestamp = "Parley-Timestamp" // seconds since 1970, signed
	HeaderSignature = "Parley-Signature" // "v1=" and the hex HMAC-SHA256 of timestamp, "." and body
	HeaderEvent     = "Parley-Event-Id"
)

// Config of a [Sender].
type Config struct {
	URLs     []string
	Secret   ids.Secret
	Loopback bool // allow loopback addresses and plain http to them: for trying out
	Log      *slog.Logger
	Now      func() time.Time
	Wait     func(context.Context, time.Duration) // between tries; nil: a timer
}

// Stats are counters for metrics.
type Stats struct{ Delivered, Retried, GivenUp, Dropped, Waiting uint64 }

// Sender delivers events. See [New].
type Sender struct {
	cfg    Config
	hooks  []*hook
	client *http.Client
	count  struct{ delivered, retried, givenUp, dropped atomic.Uint64 }
}

// hook is one URL's queue.
type hook struct {
	url   string
	mu    sync.Mutex
	queue []*delivery
	wake  chan struct{}
}

type delivery struct {
	id   string
	body []byte
}

// New returns a sender; nothing is sent before Run.
func New(cfg Config) *Sender {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = pause
	}
	s := &Sender{cfg: cfg}
	dialer := &net.Dialer{Timeout: perTry / 2, Control: s.control}
	s.client = &http.Client{
		Timeout: perTry,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, Proxy: nil, TLSHandshakeTimeout: perTry / 2, MaxConnsPerHost: 1,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, u := range cfg.URLs {
		s.hooks = append(s.hooks, &hook{url: u, wake: make(chan struct{}, 1)})
	}
	return s
}

var errSpecial = errors.New("webhook: the name resolves to a special address range")

// control judges the address that is really dialled, after any resolution.
func (s *Sender) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !iana.Callable(ap.Addr(), s.cfg.Loopback) {
		return errSpecial
	}
	return nil
}

// Send queues an event for every URL.
func (s *Sender) Send(e api.WebhookEvent) {
	if len(s.hooks) == 0 {
		return
	}
	e.ID = "evt_" + string(ids.NewTrack())[len("trk_"):]
	b, err := json.Marshal(e)
	if err != nil {
		s.cfg.Log.Error("webhook", "err", err)
		return
	}
	for _, h := range s.hooks {
		if h.put(&delivery{e.ID, b}) {
			s.count.dropped.Add(1)
		}
	}
}

func (h *hook) put(d *delivery) (dropped bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) >= queueLength {
		h.queue, dropped = h.queue[1:], true
	}
	h.queue = append(h.queue, d)
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return dropped
}

func (h *hook) take() *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return nil
	}
	d := h.queue[0]
	h.queue = h.queue[1:]
	return d
}

// Run delivers until ctx ends; what waits then is dropped.
func (s *Sender) Run(ctx context.Context) error {
	var g sync.WaitGroup
	for _, h := range s.hooks {
		g.Go(func() { s.drive(ctx, h) })
	}
	g.Wait()
	s.client.CloseIdleConnections()
	return nil
}

func (s *Sender) drive(ctx context.Context, h *hook) {
	for {
		d := h.take()
		if d == nil {
			select {
			case <-ctx.Done():
				return
			case <-h.wake:
				continue
			}
		}
		s.deliver(ctx, h, d)
		if ctx.Err() != nil {
			return
		}
	}
}

// deliver tries until the event is taken; a refusal that will not change is not
// tried again.
func (s *Sender) deliver(ctx context.Context, h *hook, d *delivery) {
	wait := firstWait
	for try := 1; ; try++ {
		err := s.post(ctx, h.url, d)
		if err == nil {
			s.count.delivered.Add(1)
			return
		}
		var no *refused
		if try == tries || ctx.Err() != nil || errors.Is(err, errSpecial) || errors.As(err, &no) && !no.passing() {
			s.count.givenUp.Add(1)
			s.cfg.Log.Warn("webhook gave up an event", "event", d.id, "err", reason(err))
			return
		}
		s.count.retried.Add(1)
		s.cfg.Wait(ctx, wait/2+rand.N(wait)) // ±50 %, so that many servers do not come at once
		wait = min(2*wait, longestWait)
	}
}

// reason leaves the URL out: a path may be a secret.
func reason(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return err.Error()
}

type refused struct{ status int }

func (r *refused) Error() string { return fmt.Sprintf("answered %d", r.status) }

// passing reports whether it may be different later.
func (r *refused) passing() bool {
	return r.status >= 500 || r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout
}

func (s *Sender) post(ctx context.Context, to string, d *delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(d.body))
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(s.cfg.Now().Unix(), 10) // of this try: receivers refuse old ones
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Parley")
	req.Header.Set(HeaderTimestamp, stamp)
	req.Header.Set(HeaderSignature, Sign(s.cfg.Secret, stamp, d.body))
	req.Header.Set(HeaderEvent, d.id)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // lets the connection be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refused{resp.StatusCode}
	}
	return nil
}

// Sign returns the signature of a body sent at a time.
func Sign(secret ids.Secret, stamp string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = m.Write([]byte(stamp + ".")) // a hash never fails
	_, _ = m.Write(body)
	return "v1=" + hex.EncodeToString(m.Sum(nil))
}

// Stats returns the counters.
func (s *Sender) Stats() Stats {
	st := Stats{
		Delivered: s.count.delivered.Load(), Retried: s.count.retried.Load(),
		GivenUp: s.count.givenUp.Load(), Dropped: s.count.dropped.Load(),
	}
	for _, h := range s.hooks {
		h.mu.Lock()
		st.Waiting += uint64(len(h.queue))
		h.mu.Unlock()
	}
	return st
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
