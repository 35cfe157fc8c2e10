package bwe_test

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
	"parley/internal/simnet"
)

var (
	seedFlag = flag.Uint64("seed", 1, "seed of the simulated networks")
	// Chromium's receiver tells each 50 to 250 ms, by the rate.
	everyFlag = flag.Duration("feedback", 0, "least time between feedback messages, beyond the recorder's own")
)

const (
	t0       = clock.Time(time.Second)
	skew     = clock.Time(1234567 * time.Millisecond) // of the receiver's clock
	mtu      = 1200
	overhead = 28
	second   = time.Second
	kbit     = 1000.0
)

// path is the bottleneck of a test: RFC 8867, section 4.1 with its queue.
func path(rate int64, delay time.Duration) simnet.Config {
	return simnet.Config{Rate: rate, Delay: delay, QueueTime: 300 * time.Millisecond, Overhead: overhead}
}

func at(d time.Duration) clock.Time { return t0.Add(d) }

// sample is the state of a leg at an instant.
type sample struct {
	at                   time.Duration
	capacity             int64
	stats                bwe.Stats
	sent, tcp            float64 // bit/s in the last interval
	waiting              time.Duration
	overflowed, lostPkts uint64
}

const sampleEvery = 100 * time.Millisecond

// leg is a sender with its controller and pacer, and the receiver's side.
type leg struct {
	rig  *rig
	id   int
	cc   *bwe.Controller
	pace bwe.Pacer
	rec  stream.Recorder
	fwd  *simnet.Link
	back *simnet.Link

	max      bwe.Rate // of the source
	layers   []bwe.Rate
	layer    int
	switches []change

	seq      uint16
	queue    []int // sizes of waiting packets
	nextVid  clock.Time
	nextAud  clock.Time
	nextSamp clock.Time
	bytes    int
	series   []sample
	waits    []wait
	fb       []byte
	wakePace clock.Time
	wakeCC   clock.Time
	feedback int
	mute     func(at time.Duration) bool // feedback is lost
	tcpSeen  int64
	every    time.Duration // least time between feedback messages
	fbAt     clock.Time
	keyEvery int // frames, 0: none but the same size
	frames   int
	onSample func(d time.Duration)
	idle     time.Duration // sends nothing before
}

type change struct {
	at       time.Duration
	from, to int
}

type wait struct {
	at, queue time.Duration
}

// rig is legs, and perhaps TCP, over one bottleneck.
type rig struct {
	t    *testing.T
	net  *simnet.Network
	link *simnet.Link
	rng  *rand.Rand
	legs []*leg
	tcp  *simnet.TCP
	from clock.Time // start of the TCP flow

	stopTCP clock.Time // its end, if set
}

func newRig(t *testing.T, cfg simnet.Config, steps ...simnet.Step) *rig {
	t.Helper()
	seed := *seedFlag
	t.Logf("seed %d", seed)
	r := &rig{t: t, net: simnet.New(seed), rng: rand.New(rand.NewPCG(seed, 99))}
	r.link = r.net.Link(0, cfg)
	r.link.Schedule(steps...)
	return r
}

func (r *rig) addLeg(cfg bwe.Config, most bwe.Rate) *leg {
	id := len(r.legs)
	l := &leg{rig: r, id: id, every: *everyFlag, cc: bwe.New(cfg), max: most, layer: -1, nextVid: t0, nextAud: t0, nextSamp: t0}
	l.fwd = r.net.Share(r.link, simnet.Endpoint(2*id))
	l.back = r.net.Link(simnet.Endpoint(2*id+1), simnet.Config{Delay: r.link.Config().Delay})
	l.cc.SetWanted(most)
	l.pace.SetRate(l.cc.Target())
	r.legs = append(r.legs, l)
	return l
}

const tcpData, tcpAcks = simnet.Endpoint(1000), simnet.Endpoint(1001)

func (r *rig) addTCP(from time.Duration, cubic bool) {
	acks := r.net.Link(tcpAcks, simnet.Config{Delay: r.link.Config().Delay})
	r.tcp, r.from = simnet.NewTCP(r.net.Share(r.link, tcpData), acks, cubic), at(from)
}

func (r *rig) run(d time.Duration) {
	r.net.Run(t0, at(d), func(now clock.Time, to simnet.Endpoint, p []byte) {
		switch {
		case to == tcpData:
			r.tcp.OnData(now, p)
		case to == tcpAcks:
			r.tcp.OnAck(now, p)
		case to%2 == 0:
			r.legs[to/2].rec.Record(now+skew, binary.BigEndian.Uint16(p))
		default:
			r.legs[to/2].onFeedback(now, p)
		}
	}, func(now clock.Time) (next clock.Time) {
		for _, l := range r.legs {
			next = clock.Earliest(next, l.tick(now))
		}
		if r.tcp != nil && !r.stopTCP.IsZero() && now >= r.stopTCP {
			r.tcp.Stop()
		}
		if r.tcp != nil && !now.Before(r.from) {
			return clock.Earliest(next, r.tcp.Tick(now))
		}
		return clock.Earliest(next, r.from)
	})
}

func (l *leg) onFeedback(now clock.Time, p []byte) {
	it := rtcp.Parse(p)
	for pk := (rtcp.Packet{}); it.Next(&pk); {
		if tw, ok := pk.TWCC(); ok {
			l.cc.OnTWCC(now, tw)
			l.feedback++
		}
	}
	l.wakeCC = now
}

func (l *leg) tick(now clock.Time) clock.Time {
	if due := l.rec.Due(); !due.IsZero() && due <= now+skew && now.Sub(l.fbAt) >= l.every {
		l.fbAt = now
		for more := true; more; {
			l.fb, more = l.rec.Append(l.fb[:0], 1, 2)
			if len(l.fb) > 0 && (l.mute == nil || !l.mute(now.Sub(t0))) {
				l.back.SendSized(now, l.fb, len(l.fb)+overhead)
			}
		}
	}
	if now >= l.wakeCC {
		l.wakeCC = l.cc.Tick(now)
	}
	l.pace.SetRate(l.cc.Target())
	l.source(now)
	l.drain(now)
	if now >= l.nextSamp {
		l.sample(now)
		if l.onSample != nil {
			l.onSample(now.Sub(t0))
		}
		l.nextSamp = now.Add(sampleEvery)
	}
	next := clock.Earliest(clock.Earliest(l.nextVid, l.nextAud), clock.Earliest(l.wakeCC, l.nextSamp))
	if due := l.rec.Due(); !due.IsZero() {
		next = clock.Earliest(next, max(due-skew, l.fbAt.Add(l.every)))
	}
	return clock.Earliest(next, l.wakePace)
}

const (
	audioSize  = 110
	audioEvery = 20 * time.Millisecond
	audioRate  = bwe.Rate(audioSize * 8 * 50)
	frameEvery = second / 30
)

// source makes audio of 44 kbit/s and video of 30 frames/s whose sizes vary by
// a fifth, at the target or at the layer that fits it.
func (l *leg) source(now clock.Time) {
	if now.Sub(t0) < l.idle {
		l.nextAud, l.nextVid = at(l.idle), at(l.idle)
		return
	}
	for now >= l.nextAud {
		l.nextAud = l.nextAud.Add(audioEvery)
		l.send(now, audioSize, 0)
	}
	for now >= l.nextVid {
		l.nextVid = l.nextVid.Add(frameEvery)
		rate := min(l.cc.Target(), l.max) - audioRate
		if l.layers != nil {
			rate = l.pick(now)
		}
		if rate <= 0 || len(l.queue) > 200 {
			continue
		}
		size := int(float64(rate.Of(frameEvery)) * (0.8 + 0.4*l.rig.rng.Float64()))
		if l.frames++; l.keyEvery > 0 {
			if l.frames%l.keyEvery == 0 {
				size *= 6
			} else {
				size = size * (l.keyEvery - 6) / (l.keyEvery - 1)
			}
		}
		_, probing := l.cc.WantProbe(now)
		for n := (size + mtu - 1) / mtu; n > 0; n-- {
			each := size / ((size + mtu - 1) / mtu)
			if len(l.queue) == 0 && !probing && l.pace.Fresh(now) > 0 {
				l.send(now, each, 0)
				continue
			}
			l.queue = append(l.queue, each)
		}
	}
}

// pick chooses the highest layer that fits, up only with room to spare.
func (l *leg) pick(now clock.Time) bwe.Rate {
	best := -1
	for i, r := range l.layers {
		need := r + audioRate
		if i > l.layer {
			need += r / 20
		}
		if need <= l.cc.Target() {
			best = i
		}
	}
	if best != l.layer {
		l.switches = append(l.switches, change{now.Sub(t0), l.layer, best})
		l.layer = best
	}
	if best < 0 {
		return 0
	}
	return l.layers[best]
}

func (l *leg) drain(now clock.Time) {
	l.wakePace = 0
	if pr, ok := l.cc.WantProbe(now); ok {
		due, next := l.pace.Probe(now, pr)
		for due > 0 && ok {
			size := min(1000, max(200, pr.Bytes/max(1, pr.Packets)))
			if len(l.queue) > 0 {
				size, l.queue = l.queue[0], l.queue[1:]
			}
			l.send(now, size, pr.Cluster)
			l.pace.ProbeSent(size)
			if pr, ok = l.cc.WantProbe(now); ok {
				due, next = l.pace.Probe(now, pr)
			}
		}
		if ok {
			l.wakePace = next
			return
		}
	}
	for len(l.queue) > 0 && l.pace.Room(now) > 0 {
		l.send(now, l.queue[0], 0)
		l.queue = l.queue[1:]
	}
	if len(l.queue) > 0 {
		l.wakePace = max(l.pace.Next(now), now+1)
	}
}

func (l *leg) send(now clock.Time, size, cluster int) {
	l.pace.Sent(now, size)
	l.waits = append(l.waits, wait{now.Sub(t0), l.fwd.Waiting(now)})
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], l.seq)
	l.fwd.SendSized(now, b[:], size)
	l.cc.OnSent(now, bwe.Packet{Seq: l.seq, Size: size, Cluster: cluster})
	l.seq++
	l.bytes += size
}

func (l *leg) sample(now clock.Time) {
	st := l.fwd.Stats()
	s := sample{at: now.Sub(t0), capacity: l.fwd.Config().Rate, stats: l.cc.Stats(), waiting: l.fwd.Waiting(now),
		sent: float64(l.bytes) * 8 / sampleEvery.Seconds(), overflowed: st.Overflowed, lostPkts: st.Lost}
	l.bytes = 0
	if l.rig.tcp != nil {
		got := l.rig.tcp.Received()
		s.tcp = float64(got-l.tcpSeen) * 8 / sampleEvery.Seconds()
		l.tcpSeen = got
	}
	l.series = append(l.series, s)
}

// during calls f for the samples of a span.
func (l *leg) during(from, to time.Duration, f func(sample)) {
	for _, s := range l.series {
		if s.at >= from && s.at < to {
			f(s)
		}
	}
}

// target returns least, mean and greatest target of a span, in kbit/s.
func (l *leg) target(from, to time.Duration) (lo, mean, hi float64) {
	lo, n := 1e12, 0.0
	l.during(from, to, func(s sample) {
		v := float64(s.stats.Target) / kbit
		lo, hi, mean, n = min(lo, v), max(hi, v), mean+v, n+1
	})
	return lo, mean / max(1, n), hi
}

// band checks that the target is inside a band, at an instant and, as a mean,
// over the five seconds before it.
func (l *leg) band(end time.Duration, want, tol float64) {
	l.rig.t.Helper()
	lo, mean, hi := l.target(end-5*second, end)
	_, now, _ := l.target(end-2*sampleEvery, end)
	l.rig.t.Logf("%v: target %.0f kbit/s (5 s before: %.0f to %.0f, mean %.0f), wanted %.0f +- %.0f",
		end, now, lo, hi, mean, want, tol)
	for _, v := range []float64{now, mean} {
		if v < want-tol || v > want+tol {
			l.rig.t.Errorf("%v: %.0f kbit/s is outside %.0f +- %.0f", end, v, want, tol)
		}
	}
}

// waitP95 returns the 95th percentile of the wait of packets sent in a span.
func (l *leg) waitP95(in func(time.Duration) bool) time.Duration {
	var w []time.Duration
	for _, x := range l.waits {
		if in(x.at) {
			w = append(w, x.queue)
		}
	}
	if len(w) == 0 {
		return 0
	}
	slices.Sort(w)
	return w[len(w)*95/100]
}

// at returns the sample at an instant.
func (l *leg) at(d time.Duration) (found sample) {
	l.during(d, d+2*sampleEvery, func(s sample) { found = s })
	return found
}

// firstAbove returns when after from the target is above a rate for good (until to).
func (l *leg) firstAbove(from, to time.Duration, rate float64) time.Duration {
	found := time.Duration(-1)
	l.during(from, to, func(s sample) {
		if found < 0 && float64(s.stats.Target) >= rate {
			found = s.at - from
		}
	})
	return found
}
