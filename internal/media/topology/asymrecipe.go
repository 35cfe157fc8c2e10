package topology

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/stream"
)

// asymRecipe is [Asymmetric] in the engine. A leg that is sent a mixed track is
// an outer one: the mix itself is an ordinary projection, whose reports are the
// engine's; all other subscriptions pass.
type asymRecipe struct {
	passing
	mixes sfu
	el    *Asymmetric
}

func newAsymRecipe(e Env) Recipe {
	r := &asymRecipe{passing: newPassing(e), mixes: sfu{wiring: newWiring()}, el: NewAsymmetric(e)}
	r.el.out = r
	return r
}

func (r *asymRecipe) AddSource(s *stream.Source) {
	r.passing.AddSource(s)
	r.mixes.AddSource(s)
}

func (r *asymRecipe) RemoveSource(s *stream.Source) {
	r.passing.RemoveSource(s)
	r.mixes.RemoveSource(s)
	delete(r.el.tracks, s.ID)
	r.sync()
}

func (r *asymRecipe) Bind(s *stream.Source, leg graph.LegID) {
	r.home[s.ID] = leg
	r.sync()
}

func (r *asymRecipe) Connect(e *stream.Egress, p *stream.Projection) {
	if p.Passing {
		r.passing.Connect(e, p)
	} else {
		r.mixes.Connect(e, p)
	}
	r.sync()
}

func (r *asymRecipe) Disconnect(e *stream.Egress, p *stream.Projection) {
	r.passing.Disconnect(e, p)
	r.mixes.Disconnect(e, p)
	r.sync()
}

// sync brings the element in line with who takes part on which side.
func (r *asymRecipe) sync() {
	outer := map[graph.LegID]*wiredLeg{}
	for _, l := range r.mixes.legs {
		outer[l.egress.Leg] = l
	}
	want := r.members()
	gone := func(l graph.LegID) bool { return outer[l] != nil || !slices.Contains(want, l) }
	r.el.group = slices.DeleteFunc(r.el.group, gone)
	clear(r.el.tracks)
	r.el.outers = slices.DeleteFunc(r.el.outers, func(o *outerLeg) bool { return outer[o.Leg] == nil })
	for _, l := range want {
		if outer[l] == nil && !slices.Contains(r.el.group, l) {
			r.el.group = append(r.el.group, l)
		}
	}
	for id, l := range outer {
		r.outer(id, l)
	}
	for _, x := range r.sources {
		leg := r.home[x.src.ID]
		if o := r.el.outer(leg); o != nil && !x.src.Track.Mixed {
			o.Track = x.src.ID
		} else if slices.Contains(r.el.group, leg) {
			r.el.tracks[x.src.ID] = leg
		}
	}
}

// outer adds or renews a leg that hears a mix.
func (r *asymRecipe) outer(id graph.LegID, l *wiredLeg) {
	o := r.el.outer(id)
	if o == nil {
		r.el.AddOuter(0, Outer{Leg: id, Track: none, Mix: none})
		o = r.el.outer(id)
	}
	p := l.all[0]
	o.SSRC, o.CNAME, o.Clock = p.SSRC, p.CNAME, 48000
	if src := p.Source(); src != nil {
		o.Clock = src.Clock()
	}
}

// none stands for no track.
const none = ^graph.TrackID(0)

// HandleBatch implements [graph.Element]: the mixes, as anywhere.
func (r *asymRecipe) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	r.mixes.HandleBatch(now, in, out)
}

func (r *asymRecipe) HandlePassed(now clock.Time, in []graph.Packet, out *graph.Batch) {
	for i := range in {
		if x := r.of(&in[i]); x != nil && x.src.Info.Retransmits(in[i].Hdr.PayloadType) {
			if leg := r.home[x.src.ID]; r.Has(leg) {
				r.el.toGroup(now, &in[i], leg, out)
			}
			continue
		}
		r.el.HandleBatch(now, in[i:i+1], out)
	}
}

func (r *asymRecipe) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	r.el.HandleFeedback(now, leg, b, out)
}

func (r *asymRecipe) Tick(now clock.Time, out *graph.Batch) clock.Time {
	return clock.Earliest(r.el.Tick(now, out), r.mixes.Tick(now, out))
}

func (r *asymRecipe) Has(leg graph.LegID) bool {
	return slices.Contains(r.el.group, leg) || r.el.outer(leg) != nil
}
