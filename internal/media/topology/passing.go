package topology

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// Passing is a recipe in which RTCP crosses between legs instead of ending
// here: the engine keeps quiet about what it passes.
type Passing interface {
	Recipe
	// Bind tells which leg of this shard a source comes from.
	Bind(s *stream.Source, leg graph.LegID)
	// HandlePassed takes the packets of sources that pass, retransmissions too.
	HandlePassed(now clock.Time, in []graph.Packet, out *graph.Batch)
	// Has reports whether a leg takes part, so that its RTCP is the recipe's.
	Has(leg graph.LegID) bool
}

// Env is what recipes need from outside.
type Env struct {
	Anchor   clock.Anchor // for NTP timestamps in sender reports
	Random32 func() uint32
	Up       graph.Upstream
	Ready    func(graph.LegID) bool // keys exist
	Drops    *RelayDrops            // counted into; nil: by each recipe for itself
}

// elsewhere marks sources of other shards, whose legs are not known here. Their
// media passes; RTCP does not cross shards, so control keeps a room of these
// recipes on one.
const elsewhere graph.LegID = 1 << 31

// passing is the common part of these recipes in the engine: the outlet that
// gives every leg what it negotiated.
type passing struct {
	wiring
	env  Env
	home map[graph.TrackID]graph.LegID
}

func newPassing(e Env) passing {
	return passing{wiring: newWiring(), env: e, home: map[graph.TrackID]graph.LegID{}}
}

// AddSource implements [Recipe].
func (s *passing) AddSource(src *stream.Source) {
	s.wiring.AddSource(src)
	s.home[src.ID] = elsewhere | graph.LegID(src.ID)
}

// RemoveSource implements [Recipe].
func (s *passing) RemoveSource(src *stream.Source) {
	s.wiring.RemoveSource(src)
	delete(s.home, src.ID)
}

// HandleBatch implements [graph.Element]; see [Passing.HandlePassed].
func (s *passing) HandleBatch(clock.Time, []graph.Packet, *graph.Batch) {}

// media implements outlet.
func (s *passing) media(now clock.Time, leg graph.LegID, p *graph.Packet, out *graph.Batch) {
	l, x := s.find(leg), s.of(p)
	if l == nil || x == nil {
		return
	}
	for _, q := range l.all {
		if q.Passing && (q.Slot || q.Source() == x.src) {
			q.Through(now, p, x.src, out)
		}
	}
}

// control implements outlet.
func (s *passing) control(_ clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if len(b) == 0 || leg&elsewhere != 0 || !s.env.Ready(leg) {
		return
	}
	compound(out, leg, b)
	l := s.find(leg)
	if l == nil {
		return
	}
	each(b, func(p *rtcp.Packet, _ []byte) {
		for i := range int(p.Count) {
			if ssrc, ok := p.ByeSSRC(i); ok {
				l.egress.Over(ssrc)
			}
		}
	})
}

// keyframe implements outlet: the engine spaces requests at the publisher.
func (s *passing) keyframe(now clock.Time, t graph.TrackID) bool {
	s.env.Up.RequestKeyframe(now, t, 0)
	return true
}

// watched reports whether some projection passes a source on.
func (s *passing) watched(src *stream.Source) bool {
	for _, l := range s.legs {
		for _, p := range l.all {
			if p.Passing && p.Source() == src {
				return true
			}
		}
	}
	return false
}

// members returns the legs that are sent something, and those it comes from.
func (s *passing) members() (list []graph.LegID) {
	for _, l := range s.legs {
		if slices.ContainsFunc(l.all, func(p *stream.Projection) bool { return p.Passing }) {
			list = append(list, l.egress.Leg)
		}
	}
	for _, x := range s.sources {
		if leg := s.home[x.src.ID]; !slices.Contains(list, leg) && s.watched(x.src) {
			list = append(list, leg)
		}
	}
	return list
}

// relayRecipe is [Relay] in the engine.
type relayRecipe struct {
	passing
	el *Relay
}

func newRelayRecipe(e Env) Recipe {
	r := &relayRecipe{passing: newPassing(e), el: NewRelay(true)}
	r.el.out = r
	if e.Drops != nil {
		r.el.owners.drops = e.Drops
	}
	return r
}

// sync brings the element in line with who takes part.
func (r *relayRecipe) sync() {
	want := r.members()
	for _, l := range slices.Clone(r.el.legs) {
		if !slices.Contains(want, l.id) {
			r.el.RemoveLeg(l.id)
		}
	}
	for _, l := range want {
		r.el.AddLeg(l)
	}
	for t, l := range r.home {
		r.el.Bind(t, l)
	}
}

func (r *relayRecipe) Bind(s *stream.Source, leg graph.LegID) {
	r.home[s.ID] = leg
	r.sync()
}

func (r *relayRecipe) RemoveSource(s *stream.Source) {
	r.passing.RemoveSource(s)
	delete(r.el.tracks, s.ID)
	r.sync()
}

func (r *relayRecipe) Connect(e *stream.Egress, p *stream.Projection) {
	r.passing.Connect(e, p)
	r.sync()
}

func (r *relayRecipe) Disconnect(e *stream.Egress, p *stream.Projection) {
	r.passing.Disconnect(e, p)
	r.sync()
}

func (r *relayRecipe) HandlePassed(now clock.Time, in []graph.Packet, out *graph.Batch) {
	r.el.HandleBatch(now, in, out)
}

func (r *relayRecipe) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	r.el.HandleFeedback(now, leg, b, out)
}

func (r *relayRecipe) Tick(now clock.Time, out *graph.Batch) clock.Time { return r.el.Tick(now, out) }

func (r *relayRecipe) Has(leg graph.LegID) bool { return r.el.has(leg) }

// switchRecipe is [VideoSwitch] in the engine: a leg's slot names whom it is
// shown.
type switchRecipe struct {
	passing
	el *VideoSwitch
}

func newSwitchRecipe(e Env) Recipe {
	r := &switchRecipe{passing: newPassing(e), el: NewVideoSwitch(0, "")}
	r.el.to = r
	return r
}

func (r *switchRecipe) sync() {
	want := r.members()
	r.el.legs = slices.DeleteFunc(r.el.legs, func(l *viewer) bool { return !slices.Contains(want, l.leg) })
	for _, l := range want {
		r.el.AddLeg(l)
	}
}

func (r *switchRecipe) AddSource(s *stream.Source) {
	r.passing.AddSource(s)
	r.Bind(s, r.home[s.ID])
}

func (r *switchRecipe) Bind(s *stream.Source, leg graph.LegID) {
	r.home[s.ID] = leg
	if r.el.AddInput(Candidate{Src: s, Leg: leg}); r.el.input(s.ID) != nil {
		r.el.input(s.ID).Leg = leg
	}
	r.sync()
}

func (r *switchRecipe) RemoveSource(s *stream.Source) {
	r.passing.RemoveSource(s)
	r.el.RemoveInput(s.ID)
	r.sync()
}

func (r *switchRecipe) Connect(e *stream.Egress, p *stream.Projection) {
	r.passing.Connect(e, p)
	r.sync()
	l := r.el.viewer(e.Leg)
	switch src := p.Source(); {
	case l == nil:
	case src == nil:
		l.selected, l.wanted = nil, nil
	default:
		if x := r.el.input(src.ID); x != nil && x.Leg != e.Leg {
			l.want(x)
		}
	}
}

func (r *switchRecipe) Disconnect(e *stream.Egress, p *stream.Projection) {
	r.passing.Disconnect(e, p)
	r.sync()
}

func (r *switchRecipe) HandlePassed(now clock.Time, in []graph.Packet, out *graph.Batch) {
	r.el.HandleBatch(now, in, out)
}

func (r *switchRecipe) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	r.el.HandleFeedback(now, leg, b, out)
}

func (r *switchRecipe) Tick(now clock.Time, out *graph.Batch) clock.Time {
	return r.el.Tick(now, out)
}

func (r *switchRecipe) Has(leg graph.LegID) bool { return r.el.viewer(leg) != nil }
