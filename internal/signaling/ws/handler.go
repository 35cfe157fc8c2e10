package ws

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"parley/api"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/session"
)

// Config of a [Handler]. Zero numbers take defaults.
type Config struct {
	Sessions *session.Registry
	Origin   origin.Policy
	AddrOf   func(*http.Request) netip.Addr // nil: the connection's
	Log      *slog.Logger

	MaxFrame   int           // bytes of a message, and about so many on the wire
	PerAddress int           // connections of one address (IPv6: /64)
	Waiting    int           // of these, without a session yet
	HelloWait  time.Duration // from the upgrade to a hello
	WriteWait  time.Duration // for one frame, before a reader counts as stalled
}

// Defaults and fixed limits (docs/protocol.md, "Limits").
const (
	defaultFrame      = 256 << 10
	defaultPerAddress = 2000
	defaultWaiting    = 100
	defaultHelloWait  = 5 * time.Second
	// defaultWriteWait leaves room for the close inside the 10 s of scenario S8.
	defaultWriteWait = 5 * time.Second
	maxHello         = 8 << 10
	// maxQueue is what a client may leave unread in bytes (scenario S8).
	maxQueue = 1 << 20
	// maxErrors of one connection in reading its frames, then 1008.
	maxErrors = 20
	// headroom on the wire above a message: fragment headers and control
	// frames. A million empty fragments cost six times this (scenario S1).
	headroom = 64 << 10
)

// Handler serves GET /ws.
type Handler struct {
	cfg    Config
	ctx    context.Context // ends with Close: the one that hijacked connections hang on
	cancel context.CancelFunc
	conns  sync.WaitGroup
	addrs  addresses
	live   atomic.Int64
}

// NewHandler returns a handler; Sessions is required.
func NewHandler(cfg Config) *Handler {
	orDefault(&cfg.MaxFrame, defaultFrame)
	orDefault(&cfg.PerAddress, defaultPerAddress)
	orDefault(&cfg.Waiting, defaultWaiting)
	orDefault(&cfg.HelloWait, defaultHelloWait)
	orDefault(&cfg.WriteWait, defaultWriteWait)
	if cfg.AddrOf == nil {
		cfg.AddrOf = remoteAddr
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, addrs: addresses{byNet: make(map[netip.Prefix]*count)}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

func orDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

// Live returns how many connections are up.
func (h *Handler) Live() int { return int(h.live.Load()) }

// Close cuts what is left and waits for it. Sessions should have said goodbye
// before ([session.Registry.Shutdown]); ctx bounds their time for that.
func (h *Handler) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		h.conns.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	h.cancel()
	<-done
}

// ServeHTTP upgrades. No token is asked for here: browsers cannot send one, and
// tokens do not belong in addresses; hello carries it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if !h.cfg.Origin.Admits(r) {
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	if !offersProtocol(r) {
		http.Error(w, "subprotocol "+api.Subprotocol+" is required", http.StatusBadRequest)
		return
	}
	addr := h.cfg.AddrOf(r)
	if !h.addrs.enter(addr, h.cfg.PerAddress, h.cfg.Waiting) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many connections from this address", http.StatusTooManyRequests)
		return
	}
	h.conns.Add(1)
	h.live.Add(1)
	c := &conn{h: h, addr: addr}
	defer func() {
		h.addrs.leave(addr, c.s == nil)
		h.live.Add(-1)
		h.conns.Done()
	}()
	meter := &meteredWriter{ResponseWriter: w}
	sock, err := websocket.Accept(meter, r, &websocket.AcceptOptions{
		Subprotocols:       []string{api.Subprotocol},
		InsecureSkipVerify: true, // judged above
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // answered by Accept
	}
	sock.SetReadLimit(int64(h.cfg.MaxFrame))
	c.sock, c.meter = sock, meter.conn
	c.serve(h.ctx)
}

func offersProtocol(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		names := strings.Split(line, ",")
		if slices.ContainsFunc(names, func(n string) bool { return strings.TrimSpace(n) == api.Subprotocol }) {
			return true
		}
	}
	return false
}
