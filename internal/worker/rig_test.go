package worker

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/worker/wire"
)

// patience is how long a test waits for what must happen: long, because the
// machine may be slow; nothing here measures speed.
const patience = 30 * time.Second

// leapClock is the system clock plus what a test skipped.
type leapClock struct {
	*clock.System
	skip atomic.Int64
}

func (c *leapClock) Now() clock.Time { return c.System.Now().Add(time.Duration(c.skip.Load())) }

// sink records events.
type sink struct {
	mu     sync.Mutex
	events []plane.Event
	bell   chan struct{}
}

func (s *sink) HandleMedia(e plane.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// wait returns the first event that matches.
func (s *sink) wait(t testing.TB, conn ids.Connection, k plane.EventKind) plane.Event {
	t.Helper()
	limit := time.After(patience)
	for {
		if e, ok := s.find(conn, k); ok {
			return e
		}
		select {
		case <-s.bell:
		case <-limit:
			t.Fatalf("no event %d of %s; have %+v", k, conn, s.all())
		}
	}
}

func (s *sink) find(conn ids.Connection, k plane.EventKind) (plane.Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Conn == conn && e.Kind == k {
			return e, true
		}
	}
	return plane.Event{}, false
}

func (s *sink) all() []plane.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]plane.Event(nil), s.events...)
}

// rig is a pool on loopback with fake engines.
type rig struct {
	*Pool
	t       testing.TB
	clk     *leapClock
	sink    *sink
	engines []*fakeEngine
	hs      *dtls.Pool
	client  *dtls.Identity
	ctx     context.Context
	stop    func()
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	server, err := dtls.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, clk: &leapClock{System: clock.NewSystem()}, sink: &sink{bell: make(chan struct{}, 1)}, hs: dtls.NewPool(dtls.Limits{})}
	if r.client, err = dtls.NewIdentity(); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		UDP: netip.MustParseAddrPort("127.0.0.1:0"), Identity: server, Sink: r.sink, Clock: r.clk,
		NewEngine: func(c engine.Config) engine.API {
			e := newFake(c)
			r.engines = append(r.engines, e)
			return e
		},
	}
	if change != nil {
		change(&cfg)
	}
	if r.Pool, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx = ctx
	done := make(chan error, 1)
	go func() { done <- r.Pool.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
		if n := r.BuffersInUse(); n != 0 {
			t.Errorf("%d packet buffers leaked", n)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// leap moves the clock and lets the shards see it.
func (r *rig) leap(d time.Duration) {
	r.clk.skip.Add(int64(d))
	r.Wake()
}

// peer is a client of the rig.
type peer struct {
	*wire.Peer
	r      *rig
	conn   ids.Connection
	local  plane.Local
	creds  ice.Creds
	got    chan []byte // RTP
	gotRC  chan []byte // RTCP
	ended  chan struct{}
	server netip.AddrPort
}

// join is what a test may change about a peer.
type join struct {
	conf       ids.Conference
	origin     netip.Addr
	trusted    bool
	serverDTLS bool // the server is the DTLS client
	tcp        bool
	wrongPeer  bool // the description promises the server another certificate than the peer has
	wrongServe bool // and the other way round
	data       *wire.Data
	onRTP      func(now clock.Time, b []byte)
	onSealed   func(now clock.Time, b []byte) bool
	bind       netip.Addr
}

// open makes a link at the server and a peer for it that does not run yet.
func (r *rig) open(j join) (*peer, error) {
	p := &peer{r: r, conn: ids.NewConnection(), creds: ice.NewCreds(), got: make(chan []byte, 4096), gotRC: make(chan []byte, 4096), ended: make(chan struct{})}
	if j.conf == "" {
		j.conf = "conf_test"
	}
	if !j.origin.IsValid() {
		j.origin = netip.MustParseAddr("127.0.0.1")
	}
	fp := fingerprint(r.client)
	if j.wrongPeer {
		fp.Value = "00" + fp.Value[2:]
		if fp == fingerprint(r.client) {
			fp.Value = "01" + fp.Value[2:]
		}
	}
	local, err := r.Open(plane.Open{
		Conf: j.conf, Conn: p.conn, Remote: plane.ICECreds{Ufrag: p.creds.Ufrag, Pwd: ids.Secret(p.creds.Pwd)},
		Fingerprints: []plane.Fingerprint{fp}, DTLSClient: j.serverDTLS, Origin: j.origin, Trusted: j.trusted,
		Data: j.data != nil, SCTPPort: 5000,
	})
	if err != nil {
		return nil, err
	}
	p.local = local
	cfg := wire.Config{
		Local: p.creds, Remote: creds(local), Server: local.Candidates[0].Addr, TCP: j.tcp,
		Identity: r.client, Handshakes: r.hs, DTLSClient: !j.serverDTLS, Bind: j.bind,
		Fingerprints: []dtls.Fingerprint{dtls.Fingerprint(local.Fingerprint)},
		OnRTP:        j.onRTP, OnSealed: j.onSealed, Data: j.data,
	}
	if cfg.OnRTP == nil {
		cfg.OnRTP = func(_ clock.Time, b []byte) { put(p.got, b) }
	}
	cfg.OnRTCP = func(_ clock.Time, b []byte) { put(p.gotRC, b) }
	if j.wrongServe {
		cfg.Fingerprints = []dtls.Fingerprint{dtls.Fingerprint(fingerprint(r.client))}
	}
	for _, c := range local.Candidates {
		if j.tcp && c.Transport == "tcp" {
			cfg.Server = c.Addr
		}
	}
	p.server = cfg.Server
	if p.Peer, err = wire.Dial(cfg); err != nil {
		return nil, err
	}
	return p, nil
}

func creds(l plane.Local) ice.Creds { return ice.Creds{Ufrag: l.ICE.Ufrag, Pwd: l.ICE.Pwd.Reveal()} }

func fingerprint(i *dtls.Identity) plane.Fingerprint {
	h, v := i.Fingerprint()
	return plane.Fingerprint{Hash: h, Value: v}
}

func put(c chan []byte, b []byte) {
	select {
	case c <- append([]byte(nil), b...):
	default:
	}
}

// run starts the peer's goroutine; it ends with the test.
func (p *peer) run() {
	go func() {
		defer close(p.ended)
		_ = p.Peer.Run(p.r.ctx)
	}()
	p.r.t.Cleanup(func() {
		if p.Peer != nil {
			p.Close()
		}
		<-p.ended
	})
}

// connect joins and waits until both sides are connected.
func (r *rig) connect(j join) *peer {
	r.t.Helper()
	p, err := r.open(j)
	if err != nil {
		r.t.Fatal(err)
	}
	p.run()
	p.wait(p.Connected(), "connected")
	r.sink.wait(r.t, p.conn, plane.LinkConnected)
	return p
}

func (p *peer) wait(c <-chan struct{}, what string) {
	p.r.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		p.r.t.Fatalf("not %s: %v", what, p.Err())
	}
}

// publish makes the peer the source of a track.
func (p *peer) publish() ids.Track {
	p.r.t.Helper()
	id := ids.NewTrack()
	if err := p.r.Publish(plane.Track{Conf: "conf_test", Conn: p.conn, Track: id, MID: "0", Kind: plane.Video}); err != nil {
		p.r.t.Fatal(err)
	}
	return id
}

func (p *peer) play(track ids.Track, ssrc uint32) ids.Subscription {
	p.r.t.Helper()
	s := plane.Subscription{Conf: "conf_test", Sub: ids.NewSubscription(), Track: track, Conn: p.conn, MID: "0", SSRC: ssrc}
	if err := p.r.Subscribe(s); err != nil {
		p.r.t.Fatal(err)
	}
	return s.Sub
}

// settle returns when every shard has done all that was posted before.
func (r *rig) settle() { r.Counters(); r.Counters() }

// header is an RTP header with a sequence number.
func header(seq uint16, ssrc uint32) []byte {
	h := make([]byte, 12)
	h[0], h[1] = 0x80, 96
	binary.BigEndian.PutUint16(h[2:], seq)
	binary.BigEndian.PutUint32(h[4:], uint32(seq)*3000)
	binary.BigEndian.PutUint32(h[8:], ssrc)
	return h
}

// expect waits for a packet with the sequence number, skipping none.
func (p *peer) expect(seq uint16, ssrc uint32, payload string) {
	p.r.t.Helper()
	select {
	case b := <-p.got:
		end := len(b)
		if b[0]&0x20 != 0 {
			end -= int(b[end-1])
		}
		if s := binary.BigEndian.Uint16(b[2:]); s != seq {
			p.r.t.Fatalf("got sequence %d, want %d", s, seq)
		}
		if got := binary.BigEndian.Uint32(b[8:]); got != ssrc {
			p.r.t.Fatalf("got SSRC %x, want %x", got, ssrc)
		}
		if string(b[12:end]) != payload {
			p.r.t.Fatalf("got payload %q, want %q", b[12:end], payload)
		}
	case <-time.After(patience):
		p.r.t.Fatalf("packet %d did not come", seq)
	}
}
