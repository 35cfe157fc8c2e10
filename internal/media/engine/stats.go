package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/quality"
	"parley/internal/media/stream"
)

// inGauge and outGauge turn counters into what happened of late. They are read
// when the leg reports, about once a second, and never by a packet.
type inGauge struct {
	was           stream.ReceiverStats
	before, after float64 // lost, 0..1
}

type outGauge struct {
	at       clock.Time
	octets   uint32
	frames   uint64
	frozen   time.Duration
	freezes  uint64
	switches uint64
	rate     uint64  // bit/s
	fps      float64 // pictures a second
	standing float64 // 0..1 of the time, decaying
}

// gaugeMin keeps rates from being taken over instants too near to each other.
const gaugeMin = 300 * time.Millisecond

// Totals are counters of a shard that outlive the legs they were counted on.
// They are as of each leg's last report, so a second behind.
type Totals struct {
	Expected, Lost, Repaired uint64 // packets of publishers; lost before repair
	NACKsIn, NACKsOut        uint64 // packets asked for again, by receivers and by us
	RTX                      uint64 // packets sent again
	PLIsIn, PLIsOut          uint64
	Freezes, Switches        uint64 // of what receivers are sent
	Frozen                   time.Duration
	Cuts, Probes             uint64 // of estimates
}

// Totals returns the counters of this shard.
func (e *Engine) Totals() Totals { return e.totals }

// count adds what happened on the leg since the last time.
func (l *leg) count(sum *Totals) {
	g, was := &l.egress, l.told
	n := Totals{NACKsIn: g.NACKs, NACKsOut: l.nacks, RTX: g.RTX, PLIsIn: g.PLIs, PLIsOut: l.plis}
	if s, ok := g.Congestion(); ok {
		n.Cuts, n.Probes = s.Cuts, uint64(s.Probes)
	}
	l.told = n
	sum.NACKsIn += since(n.NACKsIn, was.NACKsIn)
	sum.NACKsOut += since(n.NACKsOut, was.NACKsOut)
	sum.RTX += since(n.RTX, was.RTX)
	sum.PLIsIn += since(n.PLIsIn, was.PLIsIn)
	sum.PLIsOut += since(n.PLIsOut, was.PLIsOut)
	sum.Cuts += since(n.Cuts, was.Cuts)
	sum.Probes += since(n.Probes, was.Probes)
}

// since is how far a counter went; one that fell began anew.
func since(n, was uint64) uint64 {
	if n < was {
		return 0
	}
	return n - was
}

// gauge is called with each regular report.
func (l *leg) gauge(now clock.Time, sum *Totals) {
	l.count(sum)
	for _, st := range l.streams {
		was := st.gauge.was
		st.gauge.take(st.recv.Stats())
		if is := st.gauge.was; !st.rtx && is.Expected >= was.Expected {
			sum.Expected += is.Expected - was.Expected
			sum.Lost += since(is.Expected-min(is.Expected, is.Received), was.Expected-min(was.Expected, was.Received))
			sum.Repaired += since(is.Repaired, was.Repaired)
		}
	}
	for _, t := range l.tracks {
		t.src.Measure(now)
	}
	for _, s := range l.subs {
		s.gauge.take(now, s.proj, sum)
	}
}

func (g *inGauge) take(s stream.ReceiverStats) {
	if s.Expected < g.was.Expected || s.Expected-g.was.Expected < 5 { // too few to speak of shares
		if s.Expected < g.was.Expected {
			g.was = s
		}
		return
	}
	exp := float64(s.Expected - g.was.Expected)
	got := float64(s.Received) - float64(g.was.Received)
	g.before = share(exp-got, exp)
	g.after = share(exp-got-(float64(s.Repaired)-float64(g.was.Repaired)), exp)
	g.was = s
}

func share(part, of float64) float64 {
	if of <= 0 {
		return 0
	}
	return min(1, max(0, part/of))
}

// standSmooth is the weight of the last second in the share of frozen time: the
// score remembers a freeze for some seconds, as people do.
const standSmooth = 0.2

func (g *outGauge) take(now clock.Time, p *stream.Projection, sum *Totals) {
	y := &p.Tally
	dt := now.Sub(g.at)
	if g.at != 0 && dt < gaugeMin {
		return
	}
	if g.at != 0 {
		g.rate = uint64(float64(p.Octets-g.octets) * 8 / dt.Seconds())
		if p.Octets < g.octets { // counted afresh under another SSRC
			g.rate = 0
		}
		g.fps = float64(y.Frames-g.frames) / dt.Seconds()
		stood := share(float64(y.Frozen-g.frozen)+float64(y.Standing(now)), float64(dt))
		g.standing += (stood - g.standing) * standSmooth
	}
	if src := p.Source(); src != nil && src.Video() {
		sum.Freezes += since(y.Freezes, g.freezes)
		sum.Switches += since(y.Switches, g.switches)
		sum.Frozen += max(0, y.Frozen-g.frozen)
	}
	g.at, g.octets, g.frames, g.frozen, g.freezes, g.switches = now, p.Octets, y.Frames, y.Frozen, y.Freezes, y.Switches
}

// LegStats implements [API].
func (e *Engine) LegStats(id graph.LegID, s *plane.LinkStats) {
	l, now := e.leg(id), e.ticked
	if l == nil {
		return
	}
	g := &l.egress
	s.RTT, s.PacketsIn, s.BytesIn = g.RTT, l.packets, l.octets
	s.PacketsOut, s.BytesOut, s.FractionLostOut = g.Packets, g.Octets, g.FractionLost
	s.NACKsIn, s.NACKsOut, s.RTXOut, s.PLIsIn, s.PLIsOut = g.NACKs, l.nacks, g.RTX, g.PLIs, l.plis
	s.EstimateIn, s.Goodput, s.RateIn = l.est.Rate(), l.goodput, l.rateIn
	s.Control = l.control()
	s.EstimateOut = s.Control.Target
	if s.EstimateIn == 0 {
		s.EstimateIn = l.rateIn
	}
	s.LostIn = 0
	for _, st := range l.streams {
		if exp, got := st.recv.Counts(); !st.rtx && exp > got {
			s.LostIn += exp - got
		}
	}
	e.streamsIn(now, l, s)
	e.streamsOut(now, l, s)
}

// control describes the congestion control toward the peer.
func (l *leg) control() plane.RateControl {
	g := &l.egress
	c := plane.RateControl{REMB: g.REMB, Wanted: l.allot.wanted}
	for _, p := range g.Sends {
		if p.Tripped() {
			c.Breaker = "open"
		}
	}
	w := g.Pacing()
	c.Pacer, c.PacerDelay, c.Probing = w.Bytes, w.Drain, w.Probing
	s, ok := g.Congestion()
	if !ok {
		c.Target = g.REMB
		if g.REMB != 0 {
			c.Feedback = "remb"
		}
		return c
	}
	c.Feedback = g.Told()
	c.Target, c.Delay, c.Loss, c.Acked = g.Estimate(), uint64(s.Delay), uint64(s.Loss), uint64(s.Acked)
	c.Queue, c.PathLoss, c.RecentLoss = s.Queue, s.PathLoss, s.RecentLoss
	c.Probes, c.Cuts, c.Limited, c.Contest = uint64(s.Probes), s.Cuts, s.Limited, s.Contest
	return c
}

// streamsIn lists what the peer publishes.
func (e *Engine) streamsIn(now clock.Time, l *leg, s *plane.LinkStats) {
	s.ScoreIn = 0
	for _, t := range l.tracks {
		var rungs [stream.MaxLayers * 8]stream.Rung
		known := t.src.Rungs(now, rungs[:0])
		best := 0.0
		for i := range t.layers {
			if t.layers[i].in == nil {
				continue
			}
			in := t.inStats(now, i, known)
			best = max(best, in.Score)
			s.In = append(s.In, in)
		}
		if !t.muted { // a track is as good as its best encoding
			s.ScoreIn = quality.Lowest(s.ScoreIn, best)
		}
	}
}

func (t *track) inStats(now clock.Time, i int, known []stream.Rung) plane.StreamIn {
	y, st := &t.layers[i], t.layers[i].in
	c := st.recv.Stats()
	s := plane.StreamIn{
		Track: t.cfg.Track.Track, Kind: t.cfg.Track.Kind, Source: t.cfg.Track.Source, MID: st.mid, Encoding: i,
		SSRC: st.recv.SSRC, Live: t.src.Live(now, i), Packets: c.Received, Expected: c.Expected, Repaired: c.Repaired,
		LossBefore: st.gauge.before, LossAfter: st.gauge.after, Jitter: c.Jitter,
		NACKs: st.nacks, PLIs: y.key.asks, Keyframes: y.key.keys,
	}
	if t.sect >= 0 && t.leg != nil {
		r := t.leg.media.Sections[t.sect].Recv
		if i < len(r.Layers) {
			s.RID = r.Layers[i].RID
		}
		if len(r.Codecs) > 0 {
			s.Codec = r.Codecs[0].Name
		}
	}
	for _, r := range known { // cheapest first: the last of the encoding is all of it
		if int(r.Encoding) == i {
			s.Bitrate, s.Width, s.Height, s.FPS = r.Rate, int(r.Width), int(r.Height), float64(r.FPS)
		}
	}
	if s.Live {
		s.Score = quality.Round(scoreIn(&s, t.leg.egress.RTT))
	}
	return s
}

func scoreIn(s *plane.StreamIn, rtt time.Duration) float64 {
	if s.Kind == plane.Audio {
		return quality.Audio{Codec: s.Codec, Loss: s.LossAfter, RTT: rtt, Jitter: s.Jitter}.Score()
	}
	return quality.Video{Codec: s.Codec, Bitrate: s.Bitrate, Width: s.Width, Height: s.Height, FPS: s.FPS,
		Loss: s.LossAfter, RTT: rtt, Jitter: s.Jitter, Screen: s.Source == "screen"}.Score()
}

// streamsOut lists what the peer is sent.
func (e *Engine) streamsOut(now clock.Time, l *leg, s *plane.LinkStats) {
	s.ScoreOut = 0
	for _, x := range l.subs {
		out := x.outStats(now)
		s.ScoreOut = quality.Lowest(s.ScoreOut, out.Score)
		s.Out = append(s.Out, out)
	}
}

func (x *subscription) outStats(now clock.Time) plane.StreamOut {
	p, y := x.proj, &x.proj.Tally
	q := p.Showing()
	s := plane.StreamOut{
		Sub: x.cfg.Sub.Sub, Track: x.cfg.Sub.Track, MID: x.cfg.Sub.MID, SSRC: p.SSRC, Bitrate: x.gauge.rate, Packets: uint64(p.Packets),
		Lost: y.Lost, FractionLost: p.FractionLost, RTT: x.leg.egress.RTT, NACKs: y.NACKs, RTX: y.RTX, PLIs: y.PLIs,
		Encoding: int(q.Encoding), Spatial: int(q.Spatial), Temporal: int(q.Temporal),
		WantWidth: x.cfg.Sub.Width, WantHeight: x.cfg.Sub.Height, Switches: y.Switches, State: x.state(now),
	}
	src := p.Source()
	if src == nil {
		return s
	}
	s.Track, s.Kind, s.Source = src.Track.Track, src.Track.Kind, src.Track.Source
	s.Jitter = time.Duration(float64(y.Jitter) / float64(src.Clock()) * float64(time.Second))
	if src.Info != nil && len(src.Info.Codecs) > 0 {
		s.Codec = src.Info.Codecs[0].Name
	}
	if src.Video() {
		if src.Info != nil { // those that nobody wants rest, and would come back
			s.Encodings = src.Info.Layers
		}
		s.Frames, s.FPS, s.Freezes, s.Frozen = y.Frames, x.gauge.fps, y.Freezes, y.Frozen
		x.shown(now, src, q, &s)
	}
	if s.State != statePaused && s.State != stateHeld && s.State != stateIdle {
		s.Score = quality.Round(x.score(now, &s))
	}
	return s
}

// shown fills in the size of what is forwarded, and what there would be.
func (x *subscription) shown(now clock.Time, src *stream.Source, q stream.Quality, s *plane.StreamOut) {
	var space [stream.MaxLayers * 8]stream.Rung
	live := 0
	for _, r := range src.Rungs(now, space[:0]) {
		live = max(live, int(r.Encoding)+1)
		s.Best = r.Rate
		if r.Encoding == q.Encoding && r.Spatial <= q.Spatial && r.Temporal <= q.Temporal {
			s.Width, s.Height = int(r.Width), int(r.Height)
		}
	}
	s.Encodings = max(s.Encodings, live)
}

// States of a subscription in statistics.
const (
	stateFlowing = "flowing"
	stateFrozen  = "frozen"  // it flowed, and something keeps the next picture
	stateWaiting = "waiting" // for its first picture
	statePaused  = "paused"  // by wish, or for want of room
	stateHeld    = "held"    // by its circuit breaker (RFC 8083)
	stateIdle    = "idle"    // the source sends nothing
)

func (x *subscription) state(now clock.Time) string {
	p, src := x.proj, x.proj.Source()
	switch {
	case src == nil:
		return stateIdle
	case p.Tripped():
		return stateHeld
	case !p.Awake() || p.Starved():
		return statePaused
	case src.Video() && src.Track.Source != "screen" && p.Tally.Standing(now) > 0:
		return stateFrozen // also when its publisher is cut off: nobody wished it
	case !anyLive(now, src):
		return stateIdle
	case src.Video() && p.Showing() == stream.Nothing:
		return stateWaiting
	}
	return stateFlowing
}

func anyLive(now clock.Time, src *stream.Source) bool {
	for i := range src.Layers {
		if src.Live(now, i) {
			return true
		}
	}
	return false
}

func (x *subscription) score(now clock.Time, s *plane.StreamOut) float64 {
	if s.Kind == plane.Audio {
		return quality.Audio{Codec: s.Codec, Loss: s.FractionLost, RTT: s.RTT, Jitter: s.Jitter, RED: x.proj.Tally.Repeats(now)}.Score()
	}
	return quality.Video{Codec: s.Codec, Bitrate: s.Bitrate, Width: s.Width, Height: s.Height, WantWidth: s.WantWidth,
		WantHeight: s.WantHeight, FPS: s.FPS, Loss: s.FractionLost, Frozen: x.gauge.standing, RTT: s.RTT, Jitter: s.Jitter,
		Screen: s.Source == "screen", Waiting: s.State == stateWaiting}.Score()
}
