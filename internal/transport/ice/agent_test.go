package ice

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"parley/internal/base/clock"
)

const start = clock.Time(time.Hour)

var (
	ours   = Creds{Ufrag: "serverfr", Pwd: "server-password-of-24-ch"}
	theirs = Creds{Ufrag: "peer", Pwd: "peer-password-of-22-ch"}
	user   = ours.Ufrag + ":" + theirs.Ufrag
)

func at(s string) Path { return Path{Addr: netip.MustParseAddrPort(s)} }

var (
	wifi = at("192.0.2.1:1000")
	cell = at("198.51.100.9:2000")
)

// world is one agent on a virtual clock.
type world struct {
	t   testing.TB
	now clock.Time
	a   *Agent
}

func newWorld(t testing.TB) *world {
	return &world{t: t, now: start, a: NewAgent(start, ours, theirs)}
}

func (w *world) send(from Path, b []byte) ([]byte, Event) {
	var buf [256]byte
	return w.a.HandleSTUN(w.now, from, b, buf[:0])
}

// check sends a good check and wants a success.
func (w *world) check(from Path, more ...stun.Setter) Event {
	w.t.Helper()
	out, ev := w.send(from, stunRequest(w.t, user, ours.Pwd, append(more, controlling)...))
	if out == nil || ev.Drop != DropNone {
		w.t.Fatalf("check from %v: %+v", from, ev)
	}
	return ev
}

func (w *world) selected(want Path) {
	w.t.Helper()
	if got, ok := w.a.Selected(); !ok || got != want {
		w.t.Fatalf("selected %v %v, want %v", got, ok, want)
	}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func TestCheckIsAnswered(t *testing.T) {
	w := newWorld(t)
	if _, ok := w.a.Selected(); ok || w.a.Validated(wifi) {
		t.Fatal("a path before any check")
	}
	req := stunRequest(t, user, ours.Pwd, controlling, useCandidate, priority(100))
	out, ev := w.send(wifi, req)
	if !ev.Has(Validated | Selected) {
		t.Fatalf("%+v", ev)
	}
	m := &stun.Message{Raw: out}
	if err := m.Decode(); err != nil || m.Type != stun.BindingSuccess {
		t.Fatal(err, m.Type)
	}
	var x stun.XORMappedAddress
	if err := x.GetFrom(m); err != nil || x.String() != wifi.Addr.String() {
		t.Fatal(x, err)
	}
	if string(m.TransactionID[:]) != string(req[8:20]) {
		t.Fatal("transaction")
	}
	if stun.NewShortTermIntegrity(ours.Pwd).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
		t.Fatal("integrity")
	}
	if ev = w.check(wifi, useCandidate); ev.Flags != 0 {
		t.Fatalf("a second check changes nothing: %+v", ev)
	}
	w.selected(wifi)
}

func TestIPv4MappedIsTheSamePath(t *testing.T) {
	w := newWorld(t)
	w.check(at("[::ffff:192.0.2.1]:1000"), useCandidate)
	w.selected(wifi)
	if !w.a.Validated(at("[::ffff:192.0.2.1]:1000")) || w.a.Paths() != 1 {
		t.Fatal("one peer, two names")
	}
}

// forgeries are messages that must be met with silence.
func forgeries(t testing.TB) map[string][]byte {
	good := stunRequest(t, user, ours.Pwd, controlling)
	noPrint, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user), stun.NewShortTermIntegrity(ours.Pwd))
	noMAC, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user), stun.Fingerprint)
	noUser, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewShortTermIntegrity(ours.Pwd), stun.Fingerprint)
	bare, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
	response, _ := stun.Build(stun.TransactionID, stun.BindingSuccess, stun.NewShortTermIntegrity(ours.Pwd), stun.Fingerprint)
	indication, _ := stun.Build(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.Fingerprint)
	allocate, _ := stun.Build(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.Fingerprint)
	badPrint := append([]byte(nil), good...)
	badPrint[len(badPrint)-1]++
	return map[string][]byte{
		"wrong key":         stunRequest(t, user, "another", controlling),
		"peer's key":        stunRequest(t, user, theirs.Pwd, controlling),
		"unknown ufrag":     stunRequest(t, "somebody:peer", ours.Pwd),
		"other peer":        stunRequest(t, ours.Ufrag+":somebody", ours.Pwd),
		"swapped":           stunRequest(t, theirs.Ufrag+":"+ours.Ufrag, ours.Pwd),
		"wrong, unknown":    stunRequest(t, user, "another", rawAttr{0x7001, nil}),
		"wrong, role":       stunRequest(t, user, "another", controlled),
		"no fingerprint":    noPrint.Raw,
		"bad fingerprint":   badPrint,
		"no integrity":      noMAC.Raw,
		"no username":       noUser.Raw,
		"bare request":      bare.Raw,
		"response":          response.Raw,
		"indication":        indication.Raw,
		"allocate":          allocate.Raw,
		"truncated":         good[:len(good)-8],
		"junk":              make([]byte, 100),
		"nothing":           nil,
		"attrs after a MAC": append(append([]byte(nil), good...), 0, 0x25, 0, 0),
	}
}

// D5 and D6: nothing unauthenticated is answered or changes anything.
func TestD5_D6_SilenceForUnauthenticated(t *testing.T) {
	w := newWorld(t)
	for name, b := range forgeries(t) {
		out, ev := w.send(wifi, b)
		if out != nil || ev.Drop == DropNone || ev.Flags != 0 {
			t.Errorf("%s: %d bytes out, %+v", name, len(out), ev)
		}
	}
	if w.a.Paths() != 0 {
		t.Fatal("a path from a forgery")
	}
}

// D6: replies are not larger than the requests that browsers send.
func TestD6_ReplyIsNotLargerThanRequest(t *testing.T) {
	w := newWorld(t)
	for _, from := range []Path{wifi, at("[2001:db8::1]:5")} {
		for name, more := range map[string][]stun.Setter{
			"check":    {controlling, useCandidate, priority(1)},
			"role":     {controlled, priority(1)},
			"unknown":  {controlling, priority(1), rawAttr{0x7001, nil}, rawAttr{0x7002, nil}, rawAttr{0x7003, nil}},
			"smallest": {priority(1)},
		} {
			req := stunRequest(t, user, ours.Pwd, more...)
			out, _ := w.send(from, req)
			if out == nil || len(out) > len(req) {
				t.Errorf("%s from %v: %d bytes for %d", name, from, len(out), len(req))
			}
			if len(out) > maxReply {
				t.Errorf("%s: %d bytes, maxReply is %d", name, len(out), maxReply)
			}
		}
	}
}

func errorCode(t *testing.T, b []byte) int {
	t.Helper()
	m := &stun.Message{Raw: b}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	var e stun.ErrorCodeAttribute
	if err := e.GetFrom(m); err != nil {
		t.Fatal(err)
	}
	if stun.NewShortTermIntegrity(ours.Pwd).Check(m) != nil {
		t.Fatal("an error response is signed too")
	}
	return int(e.Code)
}

// RFC 8489, section 6.3.1: 420; RFC 8445, section 7.3.1.1: 487.
func TestErrorsOnlyWhenAuthenticated(t *testing.T) {
	w := newWorld(t)
	out, ev := w.send(wifi, stunRequest(t, user, ours.Pwd, controlling, rawAttr{0x7001, []byte("what")}))
	if errorCode(t, out) != 420 || ev.Drop != DropUnknown {
		t.Fatalf("%+v", ev)
	}
	out, ev = w.send(wifi, stunRequest(t, user, ours.Pwd, controlled))
	if errorCode(t, out) != 487 || ev.Drop != DropRole {
		t.Fatalf("%+v", ev)
	}
	if w.a.Paths() != 0 {
		t.Fatal("a refused check made a path")
	}
	w.check(wifi, rawAttr{0xc0de, []byte("optional")})
}

// Attributes after MESSAGE-INTEGRITY count for nothing (RFC 8489, section 14.5).
func TestAttributesAfterIntegrityAreIgnored(t *testing.T) {
	w := newWorld(t)
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user), controlling,
		stun.NewShortTermIntegrity(ours.Pwd), useCandidate, rawAttr{0x7001, nil}, stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	if _, ev := w.send(wifi, m.Raw); ev.Drop != DropNone {
		t.Fatalf("%+v", ev)
	}
	if w.a.paths[0].nominated != 0 {
		t.Fatal("nominated by an attribute nobody signed")
	}
}

// D13: a client that vanishes: disconnected, then consent expires at 30 s, and
// nothing brings the link back (RFC 7675, section 5.1).
func TestD13_ConsentExpires(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate)
	var seen []Event
	var when []time.Duration
	for next := w.now; next != 0; {
		w.now = next
		var ev Event
		if ev, next = w.a.Tick(w.now); ev.Flags != 0 {
			seen, when = append(seen, ev), append(when, w.now.Sub(start))
		}
	}
	if len(seen) != 2 || !seen[0].Has(Disconnected) || when[0] != 10*time.Second || !seen[1].Has(Expired) || when[1] != 30*time.Second {
		t.Fatalf("%+v at %v", seen, when)
	}
	if _, ok := w.a.Selected(); ok || w.a.Validated(wifi) {
		t.Fatal("still sending")
	}
	if out, ev := w.send(wifi, stunRequest(t, user, ours.Pwd, controlling)); out != nil || ev.Drop != DropClosed {
		t.Fatalf("%+v", ev)
	}
	if ev, next := w.a.Tick(w.now); ev.Flags != 0 || next != 0 {
		t.Fatal("expired twice")
	}
}

func TestConsentIsKept(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate)
	for range 100 {
		w.pass(5 * time.Second)
		if ev, _ := w.a.Tick(w.now); ev.Flags != 0 {
			t.Fatalf("%+v", ev)
		}
		w.check(wifi)
	}
	w.pass(12 * time.Second)
	if ev, _ := w.a.Tick(w.now); !ev.Has(Disconnected) {
		t.Fatalf("%+v", ev)
	}
	if ev := w.check(wifi); !ev.Has(Reconnected) {
		t.Fatalf("%+v", ev)
	}
	// Forged checks do not keep a link alive; authenticated media does.
	for range 6 {
		w.pass(9 * time.Second)
		w.send(wifi, stunRequest(t, user, "another", controlling))
		w.a.Traffic(w.now, wifi)
		if ev, _ := w.a.Tick(w.now); ev.Flags != 0 {
			t.Fatalf("%+v", ev)
		}
	}
}

// An agent nobody checked expires too, without a word of disconnection.
func TestNeverChecked(t *testing.T) {
	w := newWorld(t)
	w.pass(15 * time.Second)
	if ev, next := w.a.Tick(w.now); ev.Flags != 0 || next != start.Add(30*time.Second) {
		t.Fatalf("%+v %v", ev, next)
	}
	w.pass(15 * time.Second)
	if ev, _ := w.a.Tick(w.now); ev.Flags != Expired {
		t.Fatalf("%+v", ev)
	}
}

func TestRemoteMayComeLater(t *testing.T) {
	a := NewAgent(start, ours, Creds{})
	if _, ev := a.HandleSTUN(start, wifi, stunRequest(t, user, ours.Pwd), nil); ev.Drop != DropNone {
		t.Fatalf("%+v", ev)
	}
	a.SetRemote(Creds{Ufrag: "else"})
	if _, ev := a.HandleSTUN(start, wifi, stunRequest(t, user, ours.Pwd), nil); ev.Drop != DropUsername {
		t.Fatalf("%+v", ev)
	}
}

func TestD10_PathsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(1000))
	for i := range 1000 {
		w.pass(time.Millisecond)
		w.check(Path{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1), TCP: uint32(i % 3)})
		if w.a.Paths() > 8 {
			t.Fatalf("%d paths", w.a.Paths())
		}
	}
	w.selected(wifi)
}

func TestForgetAndPrune(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(2))
	w.check(cell, useCandidate, priority(1))
	if ev := w.a.Forget(wifi); !ev.Has(Selected) {
		t.Fatalf("%+v", ev)
	}
	w.selected(cell)
	w.check(wifi)
	for range 4 {
		w.pass(9 * time.Second)
		w.check(cell, useCandidate)
		w.a.Tick(w.now)
	}
	if w.a.Validated(wifi) {
		t.Fatal("a path without a check for 36 s")
	}
	w.a.Forget(cell)
	if _, ok := w.a.Selected(); ok {
		t.Fatal("selected nothing")
	}
	w.a.Forget(cell)
}

func TestInvalidSource(t *testing.T) {
	w := newWorld(t)
	if out, ev := w.send(Path{}, stunRequest(t, user, ours.Pwd)); out != nil || ev.Drop != DropMalformed {
		t.Fatalf("%+v", ev)
	}
}

func TestCredsHideThePassword(t *testing.T) {
	c := NewCreds()
	if len(c.Ufrag) != 8 || len(c.Pwd) != 24 || c == NewCreds() {
		t.Fatal("length or randomness")
	}
	if s := c.String() + c.GoString(); len(s) > 60 {
		t.Fatal(s)
	}
	for d := DropNone; d <= DropCount; d++ {
		if d.String() == "" {
			t.Errorf("drop %d has no name", d)
		}
	}
}

func TestHandlingDoesNotAllocate(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate)
	good, bad := stunRequest(t, user, ours.Pwd, controlling), stunRequest(t, user, "another", controlling)
	reply := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(200, func() {
		w.a.HandleSTUN(w.now, wifi, good, reply)
		w.a.HandleSTUN(w.now, wifi, bad, reply)
		PeekUfrag(good)
		w.a.Tick(w.now)
	}); n != 0 && !raceEnabled {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzAgent(f *testing.F) {
	f.Add(stunRequest(f, user, ours.Pwd, controlling, useCandidate))
	f.Add(stunRequest(f, user, ours.Pwd, controlled))
	for _, b := range forgeries(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := NewAgent(start, ours, theirs)
		out, ev := a.HandleSTUN(start, wifi, b, nil)
		if out == nil && (ev.Drop == DropNone || a.Paths() != 0) {
			t.Fatalf("%+v", ev)
		}
		m := &stun.Message{Raw: append([]byte(nil), b...)}
		if out != nil && (m.Decode() != nil || stun.NewShortTermIntegrity(ours.Pwd).Check(m) != nil) {
			t.Fatal("answered what pion finds unauthenticated")
		}
	})
}

// D5: what a check costs, good, forged (right ufrag, wrong key), and junk.
func BenchmarkD5_Check(b *testing.B) {
	for name, msg := range map[string][]byte{
		"good":   stunRequest(b, user, ours.Pwd, controlling, useCandidate, priority(1)),
		"forged": stunRequest(b, user, "another", controlling, useCandidate, priority(1)),
		"junk":   make([]byte, 100),
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			reply := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := PeekUfrag(msg); ok {
					w.a.HandleSTUN(w.now, wifi, msg, reply)
				}
			}
		})
	}
}
