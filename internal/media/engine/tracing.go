package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
	"parley/internal/media/trace"
)

// tracer samples a leg for its trace; nil on legs without one. Everything is
// read from counters that exist, so that no packet knows of it.
type tracer struct {
	sink trace.Sink
	next clock.Time
	was  totals
	subs map[*subscription]traced
}

// totals are the counters of the sample before.
type totals struct {
	at                                          clock.Time
	out, in, nacks, rtx, plis, asked, feedbacks uint64
	target, cuts                                uint64
	probes                                      int
}

// traced is what a subscription was at the sample before.
type traced struct {
	shown       stream.Quality
	octets      uint32
	keys, froze uint64
	held        bool
	frozen      time.Duration
}

// TraceLeg gives a leg a sink for its trace, or takes it away (nil).
func (e *Engine) TraceLeg(now clock.Time, id graph.LegID, sink trace.Sink) {
	l := e.leg(id)
	if l == nil {
		return
	}
	if sink == nil {
		l.emit(now, trace.Stopped{})
		l.trace = nil
		return
	}
	l.trace = &tracer{sink: sink, next: now.Add(trace.Every), subs: map[*subscription]traced{}, was: l.totals(now)}
	l.emit(now, trace.Opened{})
	if len(l.media.Sections) > 0 {
		l.emit(now, configured(&l.media))
	}
	if l.egress.Ready {
		l.emit(now, trace.Ready{})
	}
	e.wake(l, l.trace.next)
}

// emit writes one event into the leg's trace, if it has one.
func (l *leg) emit(now clock.Time, d trace.Data) {
	if l.trace != nil {
		l.trace.sink.Emit(trace.Event{At: now, Data: d})
	}
}

// record notes what was negotiated.
func (l *leg) record(now clock.Time, m *plane.LegMedia) {
	if l.trace != nil {
		l.emit(now, configured(m))
	}
}

// configured tells what was negotiated, without anything that a client chose.
func configured(m *plane.LegMedia) trace.Configured {
	c := trace.Configured{Rev: m.Rev}
	for i := range m.Sections {
		s := &m.Sections[i]
		x := trace.Section{Kind: s.Kind.String(), Send: s.Send != nil, Recv: s.Recv != nil}
		list := []plane.Codec(nil)
		if s.Recv != nil {
			list, x.Layers = s.Recv.Codecs, len(s.Recv.Layers)
		}
		if s.Send != nil {
			list = s.Send.Codecs
		}
		for _, k := range list {
			x.Codecs = append(x.Codecs, k.Name)
		}
		c.Sections = append(c.Sections, x)
	}
	return c
}

// sampleLeg writes what is due of a trace and returns the next instant.
func (e *Engine) sampleLeg(now clock.Time, l *leg) clock.Time {
	t := l.trace
	if t == nil {
		return 0
	}
	if now < t.next {
		return t.next
	}
	t.next = now.Add(trace.Every)
	n, was := l.totals(now), t.was
	t.was = n
	dt := n.at.Sub(was.at).Seconds()
	s := trace.Sample{
		Sent: rate(n.out-was.out, dt), Received: rate(n.in-was.in, dt), RTT: ms(l.egress.RTT), Reported: l.egress.FractionLost,
		Feedbacks: n.feedbacks - was.feedbacks, NACKs: n.nacks - was.nacks, RTX: n.rtx - was.rtx, PLIs: n.plis - was.plis, Asked: n.asked - was.asked,
	}
	c := l.control()
	s.Target, s.Wanted, s.Delay, s.Loss, s.REMB, s.Acked = c.Target, c.Wanted, c.Delay, c.Loss, c.REMB, c.Acked
	s.Queue, s.PathLoss, s.RecentLoss = ms(c.Queue), c.PathLoss, c.RecentLoss
	s.Pacer, s.PacerWait, s.Probing, s.Limited, s.Contest = c.Pacer, ms(c.PacerDelay), c.Probing, c.Limited, c.Contest
	if n.cuts > was.cuts {
		l.emit(now, trace.Cut{From: was.target, To: n.target})
	}
	if n.probes > was.probes {
		l.emit(now, trace.Probe{Total: uint64(n.probes)})
	}
	s.Out, s.In = l.sampleOut(now, dt), l.sampleIn(now)
	l.emit(now, s)
	return t.next
}

func (l *leg) totals(now clock.Time) totals {
	g := &l.egress
	n := totals{at: now, out: g.Octets, in: l.octets, nacks: g.NACKs, rtx: g.RTX, plis: g.PLIs, asked: l.nacks, feedbacks: l.compounds}
	if s, ok := g.Congestion(); ok {
		n.target, n.cuts, n.probes = uint64(s.Target), s.Cuts, s.Probes
	}
	return n
}

// sampleOut describes what is sent; changes since the last time are events.
func (l *leg) sampleOut(now clock.Time, dt float64) (list []trace.SampleOut) {
	t := l.trace
	for _, x := range l.subs {
		p := x.proj
		was, known := t.subs[x]
		n := seen(p)
		t.subs[x] = n
		src := p.Source()
		if src == nil {
			continue
		}
		sub, kind := string(x.cfg.Sub.Sub), src.Track.Kind.String()
		o := trace.SampleOut{Sub: sub, Kind: kind, Encoding: n.shown.Encoding, Spatial: n.shown.Spatial, Temporal: n.shown.Temporal, State: x.state(now)}
		if known && n.octets >= was.octets {
			o.Rate = rate(uint64(n.octets-was.octets), dt)
		}
		list = append(list, o)
		if known && n.held != was.held {
			l.emit(now, breaker(sub, n.held))
		}
		if !known || !src.Video() {
			continue
		}
		if n.shown != was.shown {
			l.emit(now, trace.Switched{Sub: sub, FromEncoding: was.shown.Encoding, FromSpatial: was.shown.Spatial, FromTemporal: was.shown.Temporal,
				Encoding: n.shown.Encoding, Spatial: n.shown.Spatial, Temporal: n.shown.Temporal})
		}
		if n.keys > was.keys {
			l.emit(now, trace.Keyframe{Sub: sub, Count: n.keys - was.keys})
		}
		if n.froze > was.froze {
			l.emit(now, trace.Frozen{Sub: sub, For: ms(n.frozen - was.frozen)})
		}
	}
	t.forget(l)
	return list
}

func seen(p *stream.Projection) traced {
	y := &p.Tally
	return traced{shown: p.Showing(), octets: p.Octets, keys: y.Keyframes, froze: y.Freezes, frozen: y.Frozen, held: p.Tripped()}
}

// forget drops subscriptions that ended.
func (t *tracer) forget(l *leg) {
	if len(t.subs) == len(l.subs) {
		return
	}
	clear(t.subs)
	for _, x := range l.subs {
		t.subs[x] = seen(x.proj)
	}
}

func (l *leg) sampleIn(now clock.Time) (list []trace.SampleIn) {
	for _, t := range l.tracks {
		for i := range t.layers {
			st := t.layers[i].in
			if st == nil {
				continue
			}
			in := trace.SampleIn{Track: string(t.cfg.Track.Track), Kind: t.cfg.Track.Kind.String(), Encoding: i, Lost: st.gauge.after, Jitter: ms(st.recv.Stats().Jitter)}
			if t.src.Live(now, i) {
				in.Rate = t.src.Rate(now, i)
			}
			list = append(list, in)
		}
	}
	return list
}

func rate(octets uint64, seconds float64) uint64 {
	if seconds <= 0 {
		return 0
	}
	return uint64(float64(octets*8) / seconds)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func breaker(sub string, open bool) trace.Breaker {
	b := trace.Breaker{Sub: sub}
	if open {
		b.Reason = "open"
	}
	return b
}
