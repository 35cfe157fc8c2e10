package link

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/transport/demux"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/srtp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home  = ice.Path{Addr: netip.MustParseAddrPort("192.0.2.10:4000")}
	other = ice.Path{Addr: netip.MustParseAddrPort("192.0.2.11:4000")}
)

// bench is a shard of one link, and the peer on the other side of the wire.
// Time is virtual; only the handshake runs on goroutines.
type bench struct {
	t      *testing.T
	now    clock.Time
	l      *Link
	shared Shared
	states []State
	held   bool // another link holds every address
	forgot []string
	sent   [][]byte // by the link, not yet looked at
	to     []ice.Path

	mu   sync.Mutex
	jobs []func(clock.Time) // guarded by mu
	bell chan struct{}

	agent *ice.Controller
	peer  *dtls.Conn
	back  chan []byte // from the peer's DTLS
	keys  chan dtls.Keys
	pool  *dtls.Pool
	me    *dtls.Identity
	creds [2]ice.Creds
	begin func() // starts the peer's handshake
}

func (b *bench) Post(f func(clock.Time)) bool {
	b.mu.Lock()
	b.jobs = append(b.jobs, f)
	b.mu.Unlock()
	b.ring()
	return true
}

func (b *bench) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}
func (b *bench) Transmit(to ice.Path, p []byte) {
	b.sent, b.to = append(b.sent, append([]byte(nil), p...)), append(b.to, to)
}
func (b *bench) Claim(clock.Time, *Link, ice.Path) bool { return !b.held }
func (b *bench) Changed(_ clock.Time, l *Link)          { s, _ := l.State(); b.states = append(b.states, s) }
func (b *bench) ForgetUfrag(_ *Link, u string)          { b.forgot = append(b.forgot, u) }

func newBench(t *testing.T, client bool) *bench {
	t.Helper()
	b := &bench{t: t, now: clock.Time(time.Hour), bell: make(chan struct{}, 1), back: make(chan []byte, 64), keys: make(chan dtls.Keys, 1)}
	b.pool = dtls.NewPool(dtls.Limits{})
	b.creds = [2]ice.Creds{ice.NewCreds(), ice.NewCreds()}
	mine, err := dtls.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if b.me, err = dtls.NewIdentity(); err != nil {
		t.Fatal(err)
	}
	b.l = New(b.now, 1, Config{
		Local: b.creds[0], Remote: b.creds[1], Identity: mine, Handshakes: b.pool, DTLSClient: client,
		Fingerprints: []dtls.Fingerprint{fp(b.me)}, JoinTimeout: 15 * time.Second, Host: b, Shared: &b.shared,
	})
	b.agent = ice.NewController(b.now, ice.ControllerConfig{Local: b.creds[1], Remote: b.creds[0], Remotes: []ice.Path{home}})
	start := dtls.Config{
		Identity: b.me, Client: !client, Fingerprints: []dtls.Fingerprint{fp(mine)},
		Send: func(p []byte) { b.back <- append([]byte(nil), p...); b.ring() },
		Done: func(k dtls.Keys, err error) {
			if err == nil {
				b.keys <- k
				b.ring()
			}
		},
	}
	t.Cleanup(func() {
		b.l.Close(b.now, "end of test")
		if b.peer != nil {
			b.peer.Close()
		}
	})
	b.begin = func() { b.peer = b.pool.Start(start) }
	return b
}

func fp(i *dtls.Identity) dtls.Fingerprint {
	h, v := i.Fingerprint()
	return dtls.Fingerprint{Hash: h, Value: v}
}

// check sends one authenticated check from a path and returns the reply.
func (b *bench) check(from ice.Path) (reply []byte) {
	b.t.Helper()
	b.sent, b.to = nil, nil
	// The agent must be due: each check of a test is a second or more apart.
	b.agent.Restart(b.now, b.creds[1], b.creds[0], []ice.Path{home})
	b.agent.Tick(b.now, func(_ ice.Path, m []byte) {
		b.l.HandleDatagram(b.now, demux.STUN, from, m, nil)
	})
	for i, p := range b.sent {
		if k, _ := demux.Classify(p); k == demux.STUN {
			if b.to[i] != from {
				b.t.Fatalf("reply went to %v", b.to[i])
			}
			return p
		}
	}
	return nil
}

// connect runs checks and handshake to the end and returns the peer's keys.
func (b *bench) connect() dtls.Keys {
	b.t.Helper()
	if b.check(home) == nil {
		b.t.Fatal("check not answered")
	}
	b.begin()
	limit := time.After(30 * time.Second)
	var keys *dtls.Keys
	for {
		b.mu.Lock()
		jobs := b.jobs
		b.jobs = nil
		b.mu.Unlock()
		for _, f := range jobs {
			f(b.now)
		}
		for _, p := range b.sent {
			if k, _ := demux.Classify(p); k == demux.DTLS {
				b.peer.HandleDatagram(p)
			}
		}
		b.sent, b.to = nil, nil
		select {
		case p := <-b.back:
			b.l.HandleDatagram(b.now, demux.DTLS, home, p, nil)
			continue
		case k := <-b.keys:
			keys = &k
			continue
		default:
		}
		if keys != nil && b.l.CanSend() {
			return *keys
		}
		select {
		case <-b.bell:
		case <-limit:
			s, why := b.l.State()
			b.t.Fatalf("not connected: %v %s", s, why)
		}
	}
}

func (b *bench) wantStates(want ...State) {
	b.t.Helper()
	if len(b.states) != len(want) {
		b.t.Fatalf("states %v, want %v", b.states, want)
	}
	for i := range want {
		if b.states[i] != want[i] {
			b.t.Fatalf("states %v, want %v", b.states, want)
		}
	}
}

// seal makes an SRTP packet of the peer's.
func seal(t *testing.T, s *srtp.Sender, seq byte, payload string) []byte {
	t.Helper()
	p, err := s.SealRTP(nil, []byte{0x80, 96, 0, seq, 0, 0, 0, 0, 0, 0, 0, 1}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLife: new, checking, connected, disconnected, connected, failed; media
// opens; in both DTLS roles.
func TestLife(t *testing.T) {
	for _, client := range []bool{false, true} {
		b := newBench(t, client)
		k := b.connect()
		b.wantStates(StateChecking, StateConnected)
		s, err := srtp.NewSender(srtp.Profile(k.Profile), k.LocalKey, k.LocalSalt)
		if err != nil {
			t.Fatal(err)
		}
		buf := ring.NewPool().Get()
		if r := b.l.HandleDatagram(b.now, demux.RTP, home, seal(t, s, 1, "hello"), buf); r != RTP || !bytes.HasSuffix(buf.Bytes(), []byte("hello")) {
			t.Fatalf("result %d, %q", r, buf.Bytes())
		}
		b.now = b.now.Add(11 * time.Second)
		b.l.Tick(b.now)
		b.check(home)
		b.wantStates(StateChecking, StateConnected, StateDisconnected, StateConnected)
		b.now = b.now.Add(31 * time.Second)
		if next := b.l.Tick(b.now); next != 0 {
			t.Errorf("a dead link wants to be called at %d", next)
		}
		if st, why := b.l.State(); st != StateFailed || why != ReasonConsent || b.l.CanSend() {
			t.Errorf("%v %s, can send: %v", st, why, b.l.CanSend())
		}
		if r := b.l.HandleDatagram(b.now, demux.RTP, home, seal(t, s, 2, "late"), buf); r != Nothing || b.shared.Dropped[DropOver] != 1 {
			t.Error("a dead link takes media")
		}
	}
}

// TestA1_DTLSOnlyFromValidatedPaths: before any check, and from a path without
// one, a ClientHello costs nothing but a count.
func TestA1_DTLSOnlyFromValidatedPaths(t *testing.T) {
	b := newBench(t, false)
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40}, make([]byte, 40)...)
	b.l.HandleDatagram(b.now, demux.DTLS, home, hello, nil)
	if b.l.dtls != nil || b.shared.Dropped[DropUnvalidated] != 1 {
		t.Fatal("DTLS before a check")
	}
	b.check(home)
	b.l.HandleDatagram(b.now, demux.DTLS, other, hello, nil)
	if b.l.dtls != nil || b.shared.Dropped[DropUnvalidated] != 2 {
		t.Fatal("DTLS from a path without a check")
	}
	b.connect()
	if len(b.sent) != 0 {
		t.Error("something was answered")
	}
}

// TestA6_DownlinkFollowsChecksOnly: packets that open move nothing; media from
// a path without a check is not even opened; a check does move the way out.
func TestA6_DownlinkFollowsChecksOnly(t *testing.T) {
	b := newBench(t, false)
	k := b.connect()
	s, err := srtp.NewSender(srtp.Profile(k.Profile), k.LocalKey, k.LocalSalt)
	if err != nil {
		t.Fatal(err)
	}
	buf := ring.NewPool().Get()
	if r := b.l.HandleDatagram(b.now, demux.RTP, other, seal(t, s, 1, "x"), buf); r != Nothing {
		t.Error("media from a strange path was taken")
	}
	if p, _ := b.l.Path(); p != home {
		t.Fatalf("path %v", p)
	}
	b.now = b.now.Add(2 * time.Second)
	b.check(other)
	if p, _ := b.l.Path(); p != other {
		t.Fatalf("path %v after a check from %v", p, other)
	}
}

// TestA7_BadPacketsAreOnlyCounted: ten thousand forged packets end nothing.
func TestA7_BadPacketsAreOnlyCounted(t *testing.T) {
	b := newBench(t, false)
	k := b.connect()
	s, _ := srtp.NewSender(srtp.Profile(k.Profile), k.LocalKey, k.LocalSalt)
	buf := ring.NewPool().Get()
	bad := seal(t, s, 1, "forged")
	bad[len(bad)-1] ^= 1
	for range 10000 {
		if b.l.HandleDatagram(b.now, demux.RTP, home, bad, buf) != Nothing {
			t.Fatal("taken")
		}
	}
	if b.shared.SRTP[srtp.DropAuth] != 10000 {
		t.Errorf("%d counted", b.shared.SRTP[srtp.DropAuth])
	}
	if st, _ := b.l.State(); st != StateConnected {
		t.Errorf("state %v", st)
	}
	if b.l.HandleDatagram(b.now, demux.RTP, home, seal(t, s, 2, "true"), buf) != RTP {
		t.Error("a true packet after the forged ones is refused")
	}
}

// TestD8_HeldAddress: a check that authenticates, from an address of another
// live link, is not answered and makes no path.
func TestD8_HeldAddress(t *testing.T) {
	b := newBench(t, false)
	b.held = true
	if b.check(home) != nil {
		t.Error("answered")
	}
	if p, ok := b.l.Path(); ok {
		t.Errorf("path %v", p)
	}
	if st, _ := b.l.State(); st != StateNew && st != StateChecking {
		t.Errorf("state %v", st)
	}
}

// TestD12_JoinTimeout: a link that gets no further is over after its time.
func TestD12_JoinTimeout(t *testing.T) {
	b := newBench(t, false)
	for range 20 {
		b.now = b.now.Add(time.Second)
		b.check(home) // keeps consent fresh, but never shakes hands
		if next := b.l.Tick(b.now); next == 0 {
			break
		}
	}
	if st, why := b.l.State(); st != StateFailed || why != ReasonTimeout || b.now.Sub(clock.Time(time.Hour)) != 15*time.Second {
		t.Fatalf("%v %s at %v", st, why, b.now.Sub(clock.Time(time.Hour)))
	}
}

// TestR4_OldUfragForgotten: after a restart the old fragment ends with the first
// new check, and one never used ends with the next restart.
func TestR4_OldUfragForgotten(t *testing.T) {
	b := newBench(t, false)
	b.connect()
	first := b.creds[0].Ufrag
	unused := ice.NewCreds()
	b.l.Restart(unused, ice.NewCreds())
	b.check(home) // old credentials still answered
	if len(b.forgot) != 0 {
		t.Fatalf("forgot %v too early", b.forgot)
	}
	fresh := [2]ice.Creds{ice.NewCreds(), ice.NewCreds()}
	b.l.Restart(fresh[0], fresh[1])
	if len(b.forgot) != 1 || b.forgot[0] != unused.Ufrag {
		t.Fatalf("forgot %v, want the unused %s", b.forgot, unused.Ufrag)
	}
	if u := b.l.Ufrags(); len(u) != 2 {
		t.Errorf("ufrags %v", u)
	}
	b.creds = fresh
	b.now = b.now.Add(time.Second)
	if b.check(home) == nil {
		t.Fatal("new credentials not answered")
	}
	if len(b.forgot) != 2 || b.forgot[1] != first {
		t.Fatalf("forgot %v, want %s", b.forgot, first)
	}
}

// TestSealRTX: what a head carries beyond the RTP header, and padding, are part
// of the encrypted payload.
func TestSealRTX(t *testing.T) {
	b := newBench(t, false)
	k := b.connect()
	r, err := srtp.NewReceiver(srtp.Profile(k.Profile), k.RemoteKey, k.RemoteSalt)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{0x90 | 0x20, 97, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0 /* OSN */, 0x12, 0x34}
	out, err := b.l.SealRTP(nil, head, []byte("payload"), 3)
	if err != nil {
		t.Fatal(err)
	}
	if rtp, _ := b.l.Overhead(); len(out) != len(head)+7+3+rtp {
		t.Errorf("%d bytes", len(out))
	}
	plain, drop := r.OpenRTP(nil, out)
	want := append(append(append([]byte(nil), head...), "payload"...), 0, 0, 3)
	if drop != srtp.DropNone || !bytes.Equal(plain, want) {
		t.Errorf("%v %x, want %x", drop, plain, want)
	}
	if !bytes.Contains(out, head[:20]) || bytes.Contains(out, []byte("payload")) || bytes.Contains(out[20:], head[20:]) {
		t.Error("header not in the clear, or payload not hidden")
	}
}
