package worker

import (
	"encoding/binary"
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// fakeEngine forwards every packet of a publishing leg to the subscribers of
// its track with the SSRC changed, and nothing else, so that these tests judge
// the shard and not the media logic.
type fakeEngine struct {
	unfinished int // what Unfinished says
	cfg        engine.Config
	tracks     map[graph.TrackID]*fakeTrack
	byLeg      [][]*fakeTrack // by LegID
	subs       map[ids.Subscription]*fakeTrack
	active     []*fakeTrack
	ready      map[graph.LegID]bool
	onRTCP     func(leg graph.LegID, compound []byte)
	removed    int
	told       int             // tracks whose contributors came
	wrong      []string        // calls that break the engine's contract
	crosses    []*engine.Cross // free ones
}

type fakeTrack struct {
	cfg     engine.TrackConfig
	subs    []engine.SubConfig
	remotes []engine.Shard
	pending []*ring.Buf
}

func newFake(c engine.Config) *fakeEngine {
	return &fakeEngine{cfg: c, tracks: map[graph.TrackID]*fakeTrack{}, subs: map[ids.Subscription]*fakeTrack{}, ready: map[graph.LegID]bool{}}
}

func (e *fakeEngine) OpenLeg(_ clock.Time, c engine.LegConfig) {
	for int(c.Leg) >= len(e.byLeg) {
		e.byLeg = append(e.byLeg, nil)
	}
	e.byLeg[c.Leg] = nil
}
func (e *fakeEngine) ConfigureLeg(clock.Time, graph.LegID, plane.LegMedia) {}
func (e *fakeEngine) SetLegReady(_ clock.Time, leg graph.LegID, _ *engine.Out) {
	e.ready[leg] = true
}

// bye is an empty RR with a BYE for an SSRC no test uses.
var bye = []byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 203, 0, 1, 0, 0, 0, 1}

func (e *fakeEngine) CloseLeg(_ clock.Time, leg graph.LegID, out *engine.Out) {
	if len(e.byLeg[leg]) != 0 {
		e.wrong = append(e.wrong, "CloseLeg before its tracks were removed")
	}
	off, p := out.Batch.Grow(len(bye))
	copy(p, bye)
	out.Batch.RTCP(leg, off, len(bye))
	for _, t := range e.tracks {
		kept := t.subs[:0]
		for _, s := range t.subs {
			if s.Leg != leg {
				kept = append(kept, s)
			}
		}
		t.subs = kept
	}
	delete(e.ready, leg)
}

func (e *fakeEngine) AddTrack(_ clock.Time, c engine.TrackConfig, _ *engine.Out) {
	if e.tracks[c.ID] != nil {
		e.wrong = append(e.wrong, "AddTrack twice")
	}
	if len(c.Contributors) > 0 {
		e.told++
	}
	t := &fakeTrack{cfg: c}
	e.tracks[c.ID] = t
	if !c.Remote {
		e.byLeg[c.Leg] = append(e.byLeg[c.Leg], t)
	}
}

func (e *fakeEngine) RemoveTrack(_ clock.Time, id graph.TrackID, _ *engine.Out) {
	t := e.tracks[id]
	if t == nil {
		e.wrong = append(e.wrong, "RemoveTrack of an unknown track")
		return
	}
	e.removed++
	if !t.cfg.Remote {
		e.byLeg[t.cfg.Leg] = nil
	}
	for _, b := range t.pending {
		b.Release()
	}
	t.pending = nil
	delete(e.tracks, id)
}
func (e *fakeEngine) MuteTrack(clock.Time, graph.TrackID, bool) {}
func (e *fakeEngine) SetContributors(_ clock.Time, id graph.TrackID, list []plane.Contributor, _ *engine.Out) {
	if t := e.tracks[id]; t != nil {
		e.told++
	}
}

func (e *fakeEngine) AddRemote(_ clock.Time, id graph.TrackID, s engine.Shard) {
	if t := e.tracks[id]; t != nil {
		if slices.Contains(t.remotes, s) || s == e.cfg.Shard {
			e.wrong = append(e.wrong, "AddRemote twice or of itself")
		}
		t.remotes = append(t.remotes, s)
	} else {
		e.wrong = append(e.wrong, "AddRemote of an unknown track")
	}
}

func (e *fakeEngine) RemoveRemote(_ clock.Time, id graph.TrackID, s engine.Shard) {
	if t := e.tracks[id]; t != nil {
		for i, r := range t.remotes {
			if r == s {
				t.remotes = append(t.remotes[:i], t.remotes[i+1:]...)
				return
			}
		}
	}
}

func (e *fakeEngine) Subscribe(now clock.Time, s engine.SubConfig, out *engine.Out) {
	e.Unsubscribe(now, s.Sub.Sub, out)
	if s.Track != 0 && e.tracks[s.Track] == nil {
		e.wrong = append(e.wrong, "Subscribe to an unknown track")
	}
	if t := e.tracks[s.Track]; t != nil {
		t.subs = append(t.subs, s)
		e.subs[s.Sub.Sub] = t
	}
}

func (e *fakeEngine) Unsubscribe(_ clock.Time, id ids.Subscription, _ *engine.Out) {
	t := e.subs[id]
	if t == nil {
		return
	}
	delete(e.subs, id)
	for i := range t.subs {
		if t.subs[i].Sub.Sub == id {
			t.subs = append(t.subs[:i], t.subs[i+1:]...)
			return
		}
	}
}

func (e *fakeEngine) HandleRTP(_ clock.Time, leg graph.LegID, b *ring.Buf, _ *engine.Out) {
	for _, t := range e.byLeg[leg] {
		e.add(t, b.Retain())
	}
}

func (e *fakeEngine) add(t *fakeTrack, b *ring.Buf) {
	if len(t.pending) == 0 {
		e.active = append(e.active, t)
	}
	t.pending = append(t.pending, b)
}

func (e *fakeEngine) HandleRTCP(_ clock.Time, leg graph.LegID, compound []byte, _ *engine.Out) {
	if e.onRTCP != nil {
		e.onRTCP(leg, compound)
	}
}

func (e *fakeEngine) HandleCross(_ clock.Time, c *engine.Cross, _ *engine.Out) {
	t := e.tracks[c.Track]
	for i := range c.Packets {
		if t == nil {
			c.Packets[i].Buf.Release()
			continue
		}
		e.add(t, c.Packets[i].Buf)
	}
}

func (e *fakeEngine) Unfinished() int { return e.unfinished }

func (e *fakeEngine) Flush(_ clock.Time, out *engine.Out) {
	for _, t := range e.active {
		for i := range t.subs {
			for _, b := range t.pending {
				off, h := out.Batch.Grow(12)
				copy(h, b.B[:12])
				binary.BigEndian.PutUint32(h[8:], t.subs[i].Sub.SSRC)
				out.Batch.RTP(t.subs[i].Leg, off, 12, b, 12, uint16(b.N))
			}
		}
		for _, s := range t.remotes {
			c := &engine.Cross{To: s, Track: t.cfg.ID}
			for _, b := range t.pending {
				c.Packets = append(c.Packets, graph.Packet{Buf: b.Retain()})
			}
			out.Cross = append(out.Cross, c)
		}
		for i, b := range t.pending {
			b.Release()
			t.pending[i] = nil
		}
		t.pending = t.pending[:0]
	}
	e.active = e.active[:0]
}

func (e *fakeEngine) Tick(clock.Time, *engine.Out) clock.Time { return 0 }
func (e *fakeEngine) LegStats(graph.LegID, *plane.LinkStats)  {}
