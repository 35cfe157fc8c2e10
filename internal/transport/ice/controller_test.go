package ice

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"parley/internal/base/clock"
)

var server = at("203.0.113.1:3478")

// duel is a Controller and an Agent over a virtual wire.
type duel struct {
	t     testing.TB
	now   clock.Time
	c     *Controller
	a     *Agent
	from  Path // where the controller's packets seem to come from
	loss  func() bool
	sent  []clock.Time // times of checks
	c2a   Event        // flags seen by the agent, gathered
	a2c   Event        // by the controller
	last  []byte
	reply []byte
}

func newDuel(t testing.TB, cfg ControllerConfig) *duel {
	cfg.Local, cfg.Remote = theirs, ours
	if cfg.Remotes == nil {
		cfg.Remotes = []Path{server}
	}
	return &duel{
		t: t, now: start, c: NewController(start, cfg), a: NewAgent(start, ours, theirs), from: wifi,
		loss: func() bool { return false }, reply: make([]byte, 0, 256),
	}
}

// run turns both for a span of virtual time.
func (d *duel) run(span time.Duration) {
	end := d.now.Add(span)
	for {
		ev, next := d.c.Tick(d.now, d.deliver)
		d.a2c.Flags |= ev.Flags
		aev, anext := d.a.Tick(d.now)
		d.c2a.Flags |= aev.Flags
		next = clock.Earliest(next, anext)
		if next == 0 || next > end {
			d.now = end
			return
		}
		if next <= d.now {
			d.t.Fatalf("next wish %v is not after now %v", next, d.now)
		}
		d.now = next
	}
}

func (d *duel) deliver(to Path, b []byte) {
	d.sent = append(d.sent, d.now)
	d.last = append(d.last[:0], b...)
	if to != server || d.loss() {
		return
	}
	out, ev := d.a.HandleSTUN(d.now, d.from, b, d.reply)
	d.c2a.Flags |= ev.Flags
	if out == nil || d.loss() {
		return
	}
	_, ev = d.c.HandleSTUN(d.now, server, out, nil)
	d.a2c.Flags |= ev.Flags
}

func TestControllerConnects(t *testing.T) {
	d := newDuel(t, ControllerConfig{Remotes: []Path{at("203.0.113.9:1"), server}})
	d.run(time.Second)
	if p, ok := d.c.Selected(); !ok || p != server || !d.a2c.Has(Validated|Selected) {
		t.Fatalf("%v %v %+v", p, ok, d.a2c)
	}
	if p, ok := d.a.Selected(); !ok || p != wifi || !d.c2a.Has(Validated|Selected) {
		t.Fatalf("%v %v", p, ok)
	}
	if d.c.Mapped() != wifi.Addr {
		t.Fatal(d.c.Mapped())
	}
	if len(d.sent) != 2 || d.sent[1].Sub(d.sent[0]) != 20*time.Millisecond {
		t.Fatalf("%d checks", len(d.sent))
	}
	if len(d.last) == 0 || d.a.paths[0].nominated == 0 || d.a.paths[0].priority != hostPriority {
		t.Fatal("not nominated")
	}
}

func TestControllerCheckIsReadByPion(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	d.run(time.Second)
	m := &stun.Message{Raw: d.last}
	if err := m.Decode(); err != nil || m.Type != stun.BindingRequest {
		t.Fatal(err)
	}
	var u stun.Username
	if err := u.GetFrom(m); err != nil || u.String() != ours.Ufrag+":"+theirs.Ufrag {
		t.Fatal(u, err)
	}
	for _, typ := range []stun.AttrType{stun.AttrPriority, stun.AttrICEControlling, stun.AttrUseCandidate} {
		if !m.Contains(typ) {
			t.Error(typ)
		}
	}
	if stun.NewShortTermIntegrity(ours.Pwd).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
		t.Fatal("integrity")
	}
}

// RFC 7675, section 5.1: consent checks about every 5 s, at 0.8 to 1.2 of it.
func TestRFC7675_5_1_ConsentInterval(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	d.run(10 * time.Minute)
	var least, most time.Duration = time.Hour, 0
	for i := 2; i < len(d.sent); i++ {
		gap := d.sent[i].Sub(d.sent[i-1])
		least, most = min(least, gap), max(most, gap)
	}
	if n := len(d.sent); n < 100 || n > 150 || least < 4*time.Second || most > 6*time.Second || most-least < time.Second {
		t.Fatalf("%d checks, %v..%v", n, least, most)
	}
	if d.c2a.Flags&(Disconnected|Expired) != 0 || d.a2c.Flags&(Disconnected|Expired) != 0 {
		t.Fatal("disconnected")
	}
}

func TestConnectsUnderLoss(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := newDuel(t, ControllerConfig{})
		d.loss = func() bool { return rng.IntN(2) == 0 }
		d.run(5 * time.Second)
		if _, ok := d.c.Selected(); !ok {
			t.Fatalf("seed %d: not connected", seed)
		}
	}
}

func TestD13_BothSidesExpire(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	d.run(time.Second)
	d.loss = func() bool { return true }
	d.run(time.Minute)
	for _, ev := range []Event{d.c2a, d.a2c} {
		if !ev.Has(Disconnected | Expired) {
			t.Fatalf("%+v", ev)
		}
	}
	if _, ok := d.c.Selected(); ok {
		t.Fatal("controller still sends")
	}
	if _, ev := d.c.HandleSTUN(d.now, server, stunRequest(t, "x", "y"), nil); ev.Drop != DropClosed {
		t.Fatalf("%+v", ev)
	}
}

func TestControllerReconnects(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	d.run(time.Second)
	d.loss = func() bool { return true }
	d.run(15 * time.Second)
	d.loss = func() bool { return false }
	d.run(10 * time.Second)
	if !d.c2a.Has(Disconnected|Reconnected) || !d.a2c.Has(Disconnected|Reconnected) || d.a2c.Has(Expired) {
		t.Fatalf("%+v %+v", d.c2a, d.a2c)
	}
}

// R3 with our own client: checks each 500 ms, the mapping changes, and the
// server follows within one check, twenty times of twenty.
func TestR3_FollowsOurClient(t *testing.T) {
	d := newDuel(t, ControllerConfig{Consent: 500 * time.Millisecond})
	d.run(time.Second)
	for i := range 20 {
		d.from = Path{Addr: netip.AddrPortFrom(wifi.Addr.Addr(), uint16(5000+i))}
		d.run(600 * time.Millisecond)
		if p, _ := d.a.Selected(); p != d.from {
			t.Fatalf("move %d: %v", i, p)
		}
	}
}

// R4: both sides restart twenty times; there is always a path.
func TestR4_RestartsOfBothSides(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	d.run(time.Second)
	for i := range 20 {
		s, c := NewCreds(), NewCreds()
		d.a.Restart(s, c)
		d.run(100 * time.Millisecond) // the client does not know yet
		d.c.Restart(d.now, c, s, []Path{server})
		if _, ok := d.c.Selected(); !ok {
			t.Fatalf("restart %d: controller has no path", i)
		}
		d.c2a = Event{}
		d.run(500 * time.Millisecond)
		if _, ok := d.a.Selected(); !ok || !d.c2a.Has(Restarted) {
			t.Fatalf("restart %d: %+v", i, d.c2a)
		}
	}
	if d.c2a.Flags&(Disconnected|Expired) != 0 {
		t.Fatal("disconnected")
	}
}

// Responses are believed only with our transaction, from where we sent, signed.
func TestControllerForgedResponses(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	var req []byte
	d.c.Tick(d.now, func(_ Path, b []byte) { req = append(req, b...) })
	var id tid
	copy(id[:], req[8:20])
	good := success(nil, id, wifi.Addr, &d.a.cur.key)
	bad := success(nil, id, wifi.Addr, &newGeneration(theirs, ours, 1).key)
	other := success(nil, tid{1}, wifi.Addr, &d.a.cur.key)
	for name, c := range map[string]struct {
		from Path
		b    []byte
		drop Drop
	}{
		"wrong key": {server, bad, DropIntegrity}, "transaction": {server, other, DropNotRequest},
		"source": {cell, good, DropNotRequest}, "nowhere": {Path{}, good, DropMalformed}, "junk": {server, []byte("junk"), DropMalformed},
	} {
		if out, ev := d.c.HandleSTUN(d.now, c.from, c.b, nil); ev.Drop != c.drop || out != nil || ev.Flags != 0 {
			t.Errorf("%s: %+v", name, ev)
		}
	}
	if _, ev := d.c.HandleSTUN(d.now, server, good, nil); !ev.Has(Selected) {
		t.Fatalf("%+v", ev)
	}
	if _, ev := d.c.HandleSTUN(d.now, server, good, nil); ev.Drop != DropNotRequest {
		t.Fatalf("a second time: %+v", ev)
	}
}

func TestControllerErrorResponse(t *testing.T) {
	d := newDuel(t, ControllerConfig{})
	var m message
	d.c.Tick(d.now, func(_ Path, b []byte) { m.parse(b) })
	if _, ev := d.c.HandleSTUN(d.now, server, failure(nil, &m, codeRoleConflict, &d.a.cur.key), nil); ev.Drop != DropRefused {
		t.Fatalf("%+v", ev)
	}
	if _, ok := d.c.Selected(); ok {
		t.Fatal("selected by an error")
	}
}

// A full peer checks us as well: answered when it authenticates.
func TestControllerAnswersFullPeer(t *testing.T) {
	d := newDuel(t, ControllerConfig{Remotes: []Path{cell}})
	name := theirs.Ufrag + ":" + ours.Ufrag
	for _, c := range []struct {
		b     []byte
		drop  Drop
		reply bool
	}{
		{stunRequest(t, name, theirs.Pwd, controlled), DropNone, true},
		{stunRequest(t, name, theirs.Pwd, controlling), DropRole, true},
		{stunRequest(t, name, theirs.Pwd, rawAttr{0x7001, nil}), DropUnknown, true},
		{stunRequest(t, name, ours.Pwd, controlled), DropIntegrity, false},
		{stunRequest(t, user, theirs.Pwd, controlled), DropUsername, false},
	} {
		if out, ev := d.c.HandleSTUN(d.now, server, c.b, nil); ev.Drop != c.drop || (out != nil) != c.reply {
			t.Errorf("%+v, want %v", ev, c.drop)
		}
	}
	d.run(time.Second) // it was learnt, and answers
	if p, ok := d.c.Selected(); !ok || p != server {
		t.Fatal(p, ok)
	}
}

func TestControllerDoesNotAllocate(t *testing.T) {
	d := newDuel(t, ControllerConfig{Consent: time.Millisecond})
	d.run(time.Second)
	send := func(to Path, b []byte) {
		out, _ := d.a.HandleSTUN(d.now, wifi, b, d.reply)
		d.c.HandleSTUN(d.now, to, out, nil)
	}
	if n := testing.AllocsPerRun(100, func() {
		d.now = d.now.Add(10 * time.Millisecond)
		d.c.Tick(d.now, send)
	}); n != 0 && !raceEnabled {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzController(f *testing.F) {
	a := NewAgent(start, ours, theirs)
	f.Add(success(nil, tid{1, 2}, wifi.Addr, &a.cur.key))
	f.Add(stunRequest(f, theirs.Ufrag+":"+ours.Ufrag, theirs.Pwd, controlled))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewController(start, ControllerConfig{Local: theirs, Remote: ours, Remotes: []Path{server}})
		c.Tick(start, func(Path, []byte) {})
		if _, ev := c.HandleSTUN(start, server, b, nil); ev.Flags != 0 {
			t.Fatalf("%+v", ev)
		}
	})
}
