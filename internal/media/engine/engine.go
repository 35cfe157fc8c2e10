package engine

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/alloc"
	"parley/internal/media/fec"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/red"
	"parley/internal/media/speaker"
	"parley/internal/media/stream"
	"parley/internal/media/topology"
	"parley/internal/media/trace"
)

// Engine is the media logic of one shard; see [API].
type Engine struct {
	cfg     Config
	env     stream.Env
	legs    []*leg   // by LegID
	tracks  []*track // by TrackID
	subs    map[ids.Subscription]*subscription
	confs   map[ids.Conference]*conference
	dirty   []*conference // have packets to fan out
	confDue clock.Time    // earliest of the conferences' deadlines
	ticked  clock.Time
	heap    legHeap
	pool    crossPool
	keys    []keyRequest // keyframe requests made during this call
	drops   Drops
	totals  Totals
	relayed topology.RelayDrops

	rtcp  []byte // scratch for one compound
	seqs  []uint16
	ssrcs []uint32
	cut   []byte // scratch for what crosses of a compound

	blocks   [red.MaxBlocks]red.Block // scratch: of the packet with redundancy at hand
	sum      fec.Sum                  // scratch: of the parity at hand
	repeated int                      // how many of them repeat others
	splits   splits

	candidates []candidate      // scratch: of one leg's cameras
	withheld   []plane.Withheld // scratch
}

type keyRequest struct {
	track graph.TrackID
	layer uint8
}

// conference is what this shard knows of one.
type conference struct {
	id      ids.Conference
	recipes map[string]topology.Recipe
	order   []topology.Recipe  // recipes in order of appearance
	passing []topology.Passing // those of them in which RTCP crosses
	packets []graph.Packet     // gathered since the last Flush; one reference each
	passed  []graph.Packet     // the same, of tracks that keep their SSRC
	tracks  []*track
	legs    int
	members []*leg           // the legs
	talks   ids.Connection   // of who speaks
	floor   []ids.Connection // who spoke, latest first
	poll    uint64           // changes with what elections depend on
	podium  podium
	looked  clock.Time // budgets and wants were
	lookAt  clock.Time // again, zero: with the next packets
	dirty   bool
	det     speaker.Detector
	due     clock.Time
}

type subscription struct {
	cfg    SubConfig
	leg    *leg
	conf   *conference
	proj   *stream.Projection
	recipe topology.Recipe
	passes *track // that keeps its SSRC; nil: it is projected
	demand alloc.Demand
	gauge  outGauge
}

// New returns an engine without legs or tracks.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, subs: map[ids.Subscription]*subscription{}, confs: map[ids.Conference]*conference{}}
	e.env = stream.Env{Anchor: cfg.Anchor, Random32: cfg.Random32, Up: e, ReportSoon: e.reportSoonFor, Free: e.free, Wake: e.wakeLeg}
	return e
}

var _ API = (*Engine)(nil)

func (e *Engine) leg(id graph.LegID) *leg {
	if int(id) < len(e.legs) {
		return e.legs[id]
	}
	return nil
}

func (e *Engine) track(id graph.TrackID) *track {
	if int(id) < len(e.tracks) {
		return e.tracks[id]
	}
	return nil
}

func (e *Engine) conference(id ids.Conference) *conference {
	c := e.confs[id]
	if c == nil {
		c = &conference{id: id, recipes: map[string]topology.Recipe{}, poll: 1}
		e.confs[id] = c
	}
	return c
}

// tidy forgets a conference that has nothing left here.
func (e *Engine) tidy(c *conference) {
	if c.legs == 0 && len(c.tracks) == 0 && !c.dirty {
		delete(e.confs, c.id)
	}
}

// noCNAME stands in until a leg is configured: an SDES item must name something.
const noCNAME = "parley"

// OpenLeg implements [API].
func (e *Engine) OpenLeg(now clock.Time, c LegConfig) {
	if e.leg(c.Leg) != nil {
		return
	}
	for int(c.Leg) >= len(e.legs) {
		e.legs = append(e.legs, nil)
	}
	conf := e.conference(c.Conf)
	conf.legs++
	l := &leg{cfg: c, conf: conf, ssrc: e.cfg.Random32(), heapAt: -1, media: plane.LegMedia{CNAME: noCNAME}}
	l.egress = stream.Egress{Leg: c.Leg, Env: &e.env}
	e.legs[c.Leg] = l
	e.TraceLeg(now, c.Leg, c.Trace)
	conf.members = append(conf.members, l)
}

// CloseLeg implements [API].
func (e *Engine) CloseLeg(now clock.Time, id graph.LegID, out *Out) {
	l := e.leg(id)
	if l == nil {
		return
	}
	for len(l.tracks) > 0 { // the caller should have; a track must not outlive its leg
		e.RemoveTrack(now, l.tracks[0].cfg.ID, out)
	}
	ssrcs := e.ssrcs[:0]
	for _, p := range l.egress.Sends {
		ssrcs = appendSent(ssrcs, p)
	}
	ssrcs = l.egress.Foreign(ssrcs, nil) // RTR-7
	e.bye(l, ssrcs, out)
	for _, s := range l.subs {
		e.disconnect(s)
		delete(e.subs, s.cfg.Sub.Sub)
	}
	for _, s := range l.streams {
		s.detach()
	}
	l.dropHeld(&e.drops)
	e.heap.remove(l)
	l.emit(now, trace.Closed{})
	e.legs[id] = nil
	l.conf.legs--
	l.conf.members = slices.DeleteFunc(l.conf.members, func(x *leg) bool { return x == l })
	e.reseat(now, l.conf)
	e.tidy(l.conf)
}

// SetLegReady implements [API].
func (e *Engine) SetLegReady(now clock.Time, id graph.LegID, out *Out) {
	l := e.leg(id)
	if l == nil || l.egress.Ready {
		return
	}
	l.egress.Ready = true
	l.emit(now, trace.Ready{})
	for _, p := range l.egress.Sends {
		p.Open(now)
	}
	e.wake(l, e.reportAt(now, l))
	e.settle(now, out)
}

// Subscribe implements [API].
func (e *Engine) Subscribe(now clock.Time, c SubConfig, out *Out) {
	l := e.leg(c.Leg)
	if l == nil {
		return
	}
	s := e.subs[c.Sub.Sub]
	if s != nil && (s.leg != l || s.cfg.Sub.SSRC != c.Sub.SSRC ||
		s.recipe != e.recipe(l.conf, c.Sub.Topology, s.kind())) {
		e.Unsubscribe(now, c.Sub.Sub, out)
		s = nil
	}
	if s == nil {
		if _, passes := e.recipe(l.conf, c.Sub.Topology, 0).(topology.Passing); !passes && l.bye[c.Sub.SSRC] { // BYE is final for an SSRC (rule C5)
			e.drops.DeadSSRC++
			return
		}
		s = &subscription{leg: l, conf: l.conf, cfg: c}
		s.proj = l.egress.Add(c.Sub.SSRC, c.Sub.RTXSSRC)
		s.recipe = e.recipe(l.conf, c.Sub.Topology, s.kind())
		e.subs[c.Sub.Sub] = s
		l.subs = append(l.subs, s)
	}
	s.cfg = c
	e.attach(now, s)
	e.collideWithPeer(now, l, s.proj, out)
	e.settle(now, out)
}

// attach brings a projection in line with its subscription.
func (e *Engine) attach(now clock.Time, s *subscription) {
	var src *stream.Source
	if t := e.track(s.cfg.Track); t != nil && s.cfg.Sub.Track != "" && t.cfg.Track.Track == s.cfg.Sub.Track {
		src = t.src
	}
	p := s.proj
	if src != nil && e.ownSource(s, src) {
		src = p.Source()
	}
	_, passes := s.recipe.(topology.Passing)
	p.Passing = passes && (src == nil || !src.Track.Mixed)
	p.Slot, p.Width, p.Anonymous = s.cfg.Sub.Slot, s.cfg.Sub.Width, s.cfg.Sub.Anonymous
	if src != nil {
		p.CNAME = src.Track.CNAME
	}
	if p.Slot || p.Anonymous || p.CNAME == "" {
		p.CNAME = s.leg.media.CNAME // slots live on our own clock (SWX)
	}
	e.name(s, src)
	if s.cfg.Sub.Paused { // before Attach, which would ask for a keyframe
		p.Pause(now, true)
	}
	p.Loudest = s.loudestOnly()
	e.enters(now, s, src)
	e.demandFor(now, p.Source())
	p.Attach(now, src, s.leg.section(s.cfg.Sub.MID))
	p.Pause(now, s.cfg.Sub.Paused)
	e.demandFor(now, src)
	e.connect(s, src)
	e.wakeConf(s.conf, now)
	e.unsettled(now, s.leg)
}

// ownSource reports whether a source comes from the very leg, where slots,
// relays and mixes must not send it back: a slot goes on with what it shows.
func (e *Engine) ownSource(s *subscription, src *stream.Source) bool {
	t := e.track(src.ID)
	_, passes := s.recipe.(topology.Passing)
	return t != nil && t.leg == s.leg && (s.cfg.Sub.Slot || passes || src.Track.Mixed)
}

// Unsubscribe implements [API].
func (e *Engine) Unsubscribe(now clock.Time, id ids.Subscription, out *Out) {
	s := e.subs[id]
	if s == nil {
		return
	}
	delete(e.subs, id)
	e.bye(s.leg, appendSent(e.ssrcs[:0], s.proj), out)
	e.disconnect(s)
	s.leg.egress.Remove(s.proj)
	e.demandFor(now, s.proj.Source())
	s.leg.subs = slices.DeleteFunc(s.leg.subs, func(x *subscription) bool { return x == s })
	e.unsettled(now, s.leg)
	e.retune(s.leg)
	if src := s.proj.Source(); src != nil && src.Track.Mixed {
		e.unname(s.leg, out)
	}
}

// appendSent adds the SSRCs of a projection that the peer has heard of.
func appendSent(ssrcs []uint32, p *stream.Projection) []uint32 {
	if p.Dead || p.Packets == 0 || p.Passing {
		return ssrcs
	}
	if ssrcs = append(ssrcs, p.SSRC); p.RTXSSRC != 0 {
		ssrcs = append(ssrcs, p.RTXSSRC)
	}
	if p.Protected() {
		ssrcs = append(ssrcs, p.Parity())
	}
	return ssrcs
}

// Drops counts packets that were not forwarded, by reason.
type Drops struct {
	UnknownLeg, Malformed, UnknownSSRC, TooManyStreams, HeldTooLong uint64
	Duplicate, TooOld, Muted, BadRTX, BadFEC, MuxedRTCP             uint64
	BadRTCP, DeadSSRC, UnknownTrack, UnknownPT                      uint64
	Relayed                                                         topology.RelayDrops // by the filter of relays
}

// Drops returns the counters of this shard.
func (e *Engine) Drops() Drops {
	d := e.drops
	d.Relayed = e.relayed
	return d
}
