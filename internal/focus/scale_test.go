package focus

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/policy"
)

// counter is a subscriber that does what a socket does with a notification up
// to the write, and keeps only the sums.
type counter struct {
	documents, events, bytes int // of documents
	last                     *api.Notify
}

func (c *counter) Notify(n *api.Notify) {
	frame := n.Frame() // as a session does
	if n.Event != "" {
		c.events++
		return
	}
	c.documents++
	c.bytes += len(frame)
	c.last = n
}

func (*counter) Message(*api.Message) {}
func (*counter) Goodbye(api.Goodbye)  {}

// steppedClock is moved by hand.
type steppedClock struct{ at clock.Time }

func (c *steppedClock) Now() clock.Time      { return c.at }
func (c *steppedClock) Anchor() clock.Anchor { return clock.Anchor{} }

// crowd is a room without its loop: items are handled by hand, so that what is
// measured is the work and nothing else.
type crowd struct {
	t     testing.TB
	f     *Focus
	r     *room
	clock *steppedClock
	seats []*counter
	next  int
}

func newCrowd(t testing.TB, n int) *crowd {
	t.Helper()
	clk := &steppedClock{at: clock.Time(time.Second)}
	pol := policy.Default()
	pol.Dev, pol.MaxUsers = true, 2000
	f := New(Config{Plane: newFakePlane(), Clock: clk, Policy: pol})
	c := &crowd{t: t, f: f, clock: clk, r: newRoom(f, ids.NewConference(), "standup")}
	for range n {
		c.join(true)
	}
	c.settle()
	return c
}

// join has one more come in, who may subscribe.
func (c *crowd) join(watches bool) (control.Caller, *counter) {
	c.t.Helper()
	name := fmt.Sprintf("guest:%06d", c.next)
	c.next++
	caller := control.Caller{
		Session: ids.NewSession(), Dialect: "ws", Addr: netip.MustParseAddr("192.0.2.9"),
		By: control.Principal{Subject: name, Name: "Guest " + name},
	}
	sink := &counter{}
	c.f.Attach(caller, sink)
	c.do(caller, api.ConferenceJoin, api.JoinParams{Device: "laptop"})
	if watches {
		c.clock.at += clock.Time(time.Millisecond)
		c.r.handle(c.item(caller, &item{sub: &api.Subscribe{Package: pkgConference}}))
		c.seats = append(c.seats, sink)
	}
	return caller, sink
}

func (c *crowd) item(caller control.Caller, it *item) *item {
	it.caller, it.session, it.at = caller, c.f.sessions[caller.Session], c.clock.at
	it.reply = func(r *api.Response) {
		if r.Final && r.Code != 200 {
			c.t.Fatalf("%d %+v", r.Code, r.Error)
		}
	}
	return it
}

func (c *crowd) do(caller control.Caller, method string, params any) {
	c.r.handle(c.item(caller, &item{method: method, params: params}))
}

// settle lets the throttle pass.
func (c *crowd) settle() {
	c.clock.at += clock.Time(time.Second)
	c.r.handle(&item{fact: tick})
}

func (c *crowd) bytes() (n int) {
	for _, s := range c.seats {
		n += s.bytes
	}
	return n
}

// TestBytesOfAJoinDoNotGrowWithTheRoster: everybody hears of a newcomer, by a
// partial document of the same size in a room of 50 and of 500.
func TestBytesOfAJoinDoNotGrowWithTheRoster(t *testing.T) {
	size := map[int]int{}
	for _, n := range []int{50, 500} {
		c := newCrowd(t, n)
		before := c.bytes()
		c.join(false)
		c.settle()
		for i, s := range c.seats {
			if s.last.State != string(info.Partial) {
				t.Fatalf("%d people: seat %d got %s", n, i, s.last.State)
			}
			var d info.Document
			if err := json.Unmarshal(s.last.Body, &d); err != nil || len(d.Users.User) != 1 || *d.ConferenceState.UserCount != uint32(n+1) {
				t.Fatalf("%d people: %v %s", n, err, s.last.Body)
			}
		}
		size[n] = (c.bytes() - before) / n
	}
	t.Logf("bytes of a join per subscriber: %v", size)
	if d := size[500] - size[50]; d < -8 || d > 8 { // digits of counts, versions, revision
		t.Errorf("bytes per join and subscriber %v", size)
	}
}

// TestWorkOfAJoinIsDoneOncePerClass: what is built, compared and encoded for a
// newcomer does not grow with the subscribers; each costs a fixed number of
// allocations (its frame), the same in a room of 50 and of 500.
func TestWorkOfAJoinIsDoneOncePerClass(t *testing.T) {
	each := map[int]float64{}
	for _, n := range []int{50, 500} {
		c := newCrowd(t, n)
		each[n] = testing.AllocsPerRun(10, func() {
			caller, _ := c.join(false)
			c.settle()
			c.do(caller, api.ConferenceLeave, api.LeaveParams{})
			c.settle()
		}) / float64(n)
	}
	t.Logf("allocations of a join and a leave per subscriber: %v", each)
	if each[500] > 1.05*each[50] {
		t.Errorf("allocations per subscriber grow: %v", each)
	}
}

// TestStepDoesNotWalkTheRoom: what a step allocates for one who comes and goes is
// the same in a room of 50 and of 500; a list of all who are there would show.
func TestStepDoesNotWalkTheRoom(t *testing.T) {
	const rounds = 200
	each := map[int]uint64{}
	for _, n := range []int{50, 500} {
		c := newCrowd(t, n)
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		for i := range rounds {
			var out control.Output
			who := control.Caller{Session: ids.Session(fmt.Sprint("sess", i)), Dialect: "ws", By: control.Principal{Subject: fmt.Sprint("x", i%8), Name: "x"}}
			if _, err := c.r.m.Step(c.clock.at, control.Command{Method: api.ConferenceJoin, Caller: who, Params: api.JoinParams{Device: "d"}}, &out); err != nil {
				t.Fatal(err)
			}
			if _, err := c.r.m.Step(c.clock.at, control.Command{Method: api.ConferenceLeave, Caller: who, Params: api.LeaveParams{}}, &out); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&b)
		each[n] = (b.TotalAlloc - a.TotalAlloc) / rounds
	}
	t.Logf("bytes allocated by a join and a leave: %v", each)
	if each[500] > each[50]+each[50]/2 {
		t.Errorf("a step allocates more in a larger room: %v", each)
	}
}

// TestFullDocumentOf500 is what a newcomer gets, and is whole.
func TestFullDocumentOf500(t *testing.T) {
	c := newCrowd(t, 500)
	_, s := c.join(true)
	var d info.Document
	if err := json.Unmarshal(s.last.Body, &d); err != nil || s.last.State != string(info.Full) || len(d.Users.User) != 501 {
		t.Fatalf("%v, %s with %d people", err, s.last.State, len(d.Users.User))
	}
}

// BenchmarkJoinNotifiesAll measures one join and one leave, from the command to
// the last frame, per subscriber.
func BenchmarkJoinNotifiesAll(b *testing.B) {
	for _, n := range []int{50, 150, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCrowd(b, n)
			before, rounds := c.bytes(), 0
			b.ReportAllocs()
			for b.Loop() {
				caller, _ := c.join(false)
				c.settle()
				c.do(caller, api.ConferenceLeave, api.LeaveParams{})
				c.settle()
				rounds++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/subscriber")
			b.ReportMetric(float64(c.bytes()-before)/float64(rounds*n), "B/subscriber")
		})
	}
}

// BenchmarkGrowth measures rooms of 50 and of 500 in turns, in processor time
// of the process, so that a busy machine troubles both alike. The growth is to
// be at most 1.3.
func BenchmarkGrowth(b *testing.B) {
	sizes := [2]int{50, 500}
	rooms := [2]*crowd{newCrowd(b, sizes[0]), newCrowd(b, sizes[1])}
	var spent [2]time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		for i, c := range rooms {
			times := sizes[1] / sizes[i] // as many notifications from either
			start := processorTime(b)
			for range times {
				caller, _ := c.join(false)
				c.settle()
				c.do(caller, api.ConferenceLeave, api.LeaveParams{})
				c.settle()
			}
			spent[i] += processorTime(b) - start
		}
	}
	for i, n := range sizes {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(rounds*sizes[1]), fmt.Sprintf("ns/subscriber-%d", n))
	}
	b.ReportMetric(float64(spent[1])/float64(spent[0]), "growth")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStep measures the machine alone: one join and one leave.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCrowd(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				var out control.Output
				who := control.Caller{Session: ids.Session(fmt.Sprint("sess", i)), Dialect: "ws", By: control.Principal{Subject: fmt.Sprint("x", i%8), Name: "x"}}
				if _, err := c.r.m.Step(c.clock.at, control.Command{Method: api.ConferenceJoin, Caller: who, Params: api.JoinParams{Device: "d"}}, &out); err != nil {
					b.Fatal(err)
				}
				if _, err := c.r.m.Step(c.clock.at, control.Command{Method: api.ConferenceLeave, Caller: who, Params: api.LeaveParams{}}, &out); err != nil {
					b.Fatal(err)
				}
				c.clock.at += clock.Time(time.Second)
				c.r.m.Tick(c.clock.at, &out)
			}
		})
	}
}
