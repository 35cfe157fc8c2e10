package simroom

import (
	"fmt"
	"math/rand/v2"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/simnet"
)

const (
	start = clock.Time(10 * time.Second)
	conf  = ids.Conference("conf_sim")
	// srtpTag is what encryption adds to a packet (AEAD_AES_128_GCM), overhead
	// what IPv4 and UDP do; both count on links.
	srtpTag  = 16
	overhead = 28
	// mostSteps is how many instants of a second something may be due in; an engine
	// that wants a turn each nanosecond would take a core.
	mostSteps = 200_000
	// grid is how often peers look at their timers, as browsers' task queues do.
	grid = 5 * time.Millisecond
)

var anchor = clock.Anchor{Mono: clock.Time(time.Second), Unix: 1_700_000_000_000_000_000}

// Room is one conference on one engine, with its peers and their links.
type Room struct {
	Seed   uint64
	Engine *engine.Engine
	Peers  []*Peer
	Events []plane.Event
	// OnEvent is told what the engine reports, before it is kept in Events.
	OnEvent func(plane.Event)

	net    *simnet.Network
	rng    *rand.Rand
	pool   *ring.Pool
	now    clock.Time
	out    engine.Out
	due    clock.Time // of the engine
	fed    bool       // the engine was handed something in this instant
	tracks int
	subs   int
	plans  []plan
	tcps   []*tcpFlow
	ends   []func(now clock.Time, b []byte)
}

type plan struct {
	at clock.Time
	do func()
}

// New makes an empty room.
func New(seed uint64) *Room {
	r := &Room{Seed: seed, net: simnet.New(seed), rng: rand.New(rand.NewPCG(seed, 7)), pool: ring.NewPool(), now: start}
	engineRng := rand.New(rand.NewPCG(seed, 8))
	r.Engine = engine.New(engine.Config{Pool: r.pool, Anchor: anchor, Random32: func() uint32 { return engineRng.Uint32() | 1 }})
	return r
}

// Now returns how long the room has run.
func (r *Room) Now() time.Duration { return r.now.Sub(start) }

// At plans something for an instant after the start of the room.
func (r *Room) At(d time.Duration, do func()) {
	r.plans = append(r.plans, plan{start.Add(d), do})
}

// Every plans something for each period from now on.
func (r *Room) Every(period time.Duration, do func()) {
	var again func()
	again = func() { do(); r.At(r.Now()+period, again) }
	r.At(r.Now()+period, again)
}

// link makes a one-way link to what takes its packets.
func (r *Room) link(cfg simnet.Config, take func(now clock.Time, b []byte)) *simnet.Link {
	if cfg.Overhead == 0 {
		cfg.Overhead = overhead
	}
	r.ends = append(r.ends, take)
	return r.net.Link(simnet.Endpoint(len(r.ends)-1), cfg)
}

// Run lets time pass.
func (r *Room) Run(d time.Duration) {
	end, steps, second := r.now.Add(d), 0, r.now
	for {
		at := r.now
		r.step()
		next := clock.Earliest(clock.Earliest(r.net.Next(), r.due), r.wishes())
		if next == 0 || next > end {
			r.now = end
			return
		}
		r.now = max(next, at)
		if steps++; r.now.Sub(second) >= time.Second {
			steps, second = 0, r.now
		} else if steps > mostSteps {
			panic("simroom: somebody's deadline does not move on")
		}
	}
}

// step does all that is due now.
func (r *Room) step() {
	for i := 0; i < len(r.plans); i++ {
		if p := r.plans[i]; p.at <= r.now {
			r.plans = append(r.plans[:i], r.plans[i+1:]...)
			i--
			p.do()
		}
	}
	r.net.Deliver(r.now, func(to simnet.Endpoint, b []byte) { r.ends[to](r.now, b) })
	for _, p := range r.Peers {
		p.tick(r.now)
	}
	for _, f := range r.tcps {
		f.tick(r.now)
	}
	if r.fed || (r.due != 0 && r.due <= r.now) {
		r.turn()
	}
}

func (r *Room) wishes() (next clock.Time) {
	for _, p := range r.Peers {
		next = clock.Earliest(next, p.due())
	}
	for _, f := range r.tcps {
		next = clock.Earliest(next, f.due)
	}
	for i := range r.plans {
		next = clock.Earliest(next, r.plans[i].at)
	}
	return next
}

// turn ends a turn of the engine as a worker does.
func (r *Room) turn() {
	r.fed = false
	r.Engine.Flush(r.now, &r.out)
	r.due = r.Engine.Tick(r.now, &r.out)
	if r.due != 0 {
		r.due = max(r.due, r.now+1)
	}
	b := &r.out.Batch
	for i := range b.Sends {
		s := &b.Sends[i]
		r.Peers[s.Leg].sendDown(r.now, s, b)
	}
	b.Reset()
	for _, ev := range r.out.Events {
		if r.OnEvent != nil {
			r.OnEvent(ev)
		}
		r.route(ev)
		r.Events = append(r.Events, ev)
	}
	r.out.Events = r.out.Events[:0]
}

// uplink is the server's end of a peer's link.
func (r *Room) uplink(p *Peer, now clock.Time, b []byte) {
	r.fed = true
	if rtcp.Mux(b) {
		r.Engine.HandleRTCP(now, p.leg, b, &r.out)
		return
	}
	p.Up.arrived(now, b)
	p.Up.mended(now, b) // the server does so by itself
	buf := r.pool.Get()
	buf.N = copy(buf.B[:], b)
	r.Engine.HandleRTP(now, p.leg, buf, &r.out)
	buf.Release()
}

// Join adds a peer whose handshake is done.
func (r *Room) Join(name string, up, down simnet.Config) *Peer {
	n := len(r.Peers)
	p := &Peer{Name: name, room: r, leg: graph.LegID(n), conn: ids.Connection(fmt.Sprint("conn_", n)),
		rng: rand.New(rand.NewPCG(r.Seed, 1000+uint64(n))), ssrc: 0x1000 + uint32(n)}
	// Clocks of machines differ, and their task queues are not in step.
	p.skew = clock.Time(r.rng.Int64N(int64(1000 * time.Second)))
	p.gridAt = r.now.Add(time.Duration(r.rng.Int64N(int64(grid))))
	p.Up = newHop(r.link(up, func(now clock.Time, b []byte) { r.uplink(p, now, b) }))
	p.Down = newHop(r.link(down, p.take))
	p.media = plane.LegMedia{CNAME: fmt.Sprint("server-", n), RTCPRsize: true}
	p.reportAt = r.now.Add(time.Duration(r.rng.Int64N(int64(time.Second))))
	r.Peers = append(r.Peers, p)
	r.Engine.OpenLeg(r.now, engine.LegConfig{Leg: p.leg, Conf: conf, Conn: p.conn})
	r.Engine.ConfigureLeg(r.now, p.leg, p.media)
	r.Engine.SetLegReady(r.now, p.leg, &r.out)
	r.fed = true
	return p
}

// TCP lets a download share the downlink of a peer.
func (r *Room) TCP(p *Peer, from time.Duration, cubic bool) *simnet.TCP {
	f := &tcpFlow{due: start.Add(from)}
	r.ends = append(r.ends, func(now clock.Time, b []byte) { f.tcp.OnData(now, b) })
	data := r.net.Share(p.Down.Link, simnet.Endpoint(len(r.ends)-1))
	acks := r.link(simnet.Config{Delay: p.Up.Config().Delay}, func(now clock.Time, b []byte) { f.tcp.OnAck(now, b) })
	f.tcp = simnet.NewTCP(data, acks, cubic)
	r.tcps = append(r.tcps, f)
	return f.tcp
}

type tcpFlow struct {
	tcp *simnet.TCP
	due clock.Time
}

func (f *tcpFlow) tick(now clock.Time) {
	if f.due != 0 && f.due <= now {
		f.due = f.tcp.Tick(now)
	}
}

// route hands an event to the peer it is about.
func (r *Room) route(ev plane.Event) {
	for _, p := range r.Peers {
		if p.Pub != nil && ev.Conn == p.conn {
			p.Pub.heed(ev)
		}
	}
}
