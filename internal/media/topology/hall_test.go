package topology_test

import (
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

const (
	hallConf   = ids.Conference("conf_hall")
	srcA, srcB = 0xAAAA0001, 0xBBBB0001 // conference-wide ids
	slotBase   = 0x51070000             // SSRC of what leg n is sent: plus n
	rtxBase    = 0x51080000
)

// hall is a lab whose recipe runs in the engine, as it does in production: legs
// are configured, tracks published, subscriptions made by topology.
type hall struct {
	*lab
	eng    *engine.Engine
	o      engine.Out
	topo   string
	anon   bool
	common bool // one set of formats for all
	home   map[graph.TrackID]graph.LegID
	subs   map[ids.Subscription]engine.SubConfig
	events []plane.Event
}

func newHall(t testing.TB, topo string) *hall {
	h := &hall{lab: newLab(t), topo: topo, home: map[graph.TrackID]graph.LegID{}, subs: map[ids.Subscription]engine.SubConfig{}}
	h.anon = topo == "rtcp-terminating-mcu"
	h.eng = engine.New(engine.Config{Pool: h.pool, Anchor: anchor, Random32: h.env().Random32})
	h.el = h
	return h
}

// HandleBatch gives packets of a track to its leg, RTCP to the one it names.
func (h *hall) HandleBatch(now clock.Time, in []graph.Packet, _ *graph.Batch) {
	for i := range in {
		if leg, ok := h.home[in[i].Track]; ok {
			h.eng.HandleRTP(now, leg, in[i].Buf, &h.o)
		}
	}
	h.eng.Flush(now, &h.o)
	h.drain()
}

func (h *hall) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, _ *graph.Batch) {
	h.eng.HandleRTCP(now, leg, b, &h.o)
	h.drain()
}

func (h *hall) Tick(now clock.Time, _ *graph.Batch) clock.Time {
	h.eng.Flush(now, &h.o)
	next := h.eng.Tick(now, &h.o)
	h.drain()
	return next
}

// drain collects what the engine wants sent.
func (h *hall) drain() {
	h.take(&h.o.Batch)
	h.events = append(h.events, h.o.Events...)
	h.o.Events = h.o.Events[:0]
}

// legOf is one section that sends and receives video, in the leg's own formats.
func legOf(i graph.LegID, pt uint8, kbps int) plane.LegMedia {
	m := plane.LegMedia{CNAME: "mcu-" + string(rune('0'+i)), Sections: []plane.Section{{MID: "0", Kind: plane.Video,
		Recv: &plane.Recv{Codecs: []plane.Codec{vp8(pt, pt+1)}}, Send: &plane.Send{Codecs: []plane.Codec{vp8(110, 111)}}}}}
	if kbps > 0 {
		m.RTCPMin, m.RTCPRate = 5*time.Second, kbps*1000/8/20
	}
	return m
}

func (h *hall) open(i graph.LegID, m plane.LegMedia) {
	h.eng.OpenLeg(h.now, engine.LegConfig{Leg: i, Conf: hallConf, Conn: ids.Connection(rune('0' + i))})
	h.eng.ConfigureLeg(h.now, i, m)
	h.eng.SetLegReady(h.now, i, &h.o)
}

func (h *hall) close(i graph.LegID) {
	h.eng.CloseLeg(h.now, i, &h.o)
	h.drain()
}

func (h *hall) publish(t graph.TrackID, leg graph.LegID, x plane.Track) {
	x.Conf, x.Conn, x.Track, x.MID = hallConf, ids.Connection(rune('0'+leg)), ids.Track(rune('0'+t)), "0"
	h.home[t] = leg
	h.eng.AddTrack(h.now, engine.TrackConfig{ID: t, Track: x, Leg: leg}, &h.o)
}

func (h *hall) unpublish(t graph.TrackID) {
	delete(h.home, t)
	h.eng.RemoveTrack(h.now, t, &h.o)
	h.drain()
}

// room has legs 1 (A sends), 2 (B sends), 3 and 4 (watch). A thin room is of
// kbps for each leg, 0 of browsers.
func (h *hall) room(kbps int) (a, b *cam) {
	pts := map[graph.LegID]uint8{1: 96, 2: 104, 3: 96, 4: 96}
	if h.passes() || h.common {
		pts = map[graph.LegID]uint8{1: 110, 2: 110, 3: 110, 4: 110}
	}
	for i := graph.LegID(1); i <= 4; i++ {
		h.open(i, legOf(i, pts[i], kbps))
	}
	a, b = &cam{track: 1, ssrc: 0xA1A1A1A1, seq: 1000, ts: 5_000_000, pt: pts[1], csrc: []uint32{0x77}}, &cam{track: 2, ssrc: 0xB1B1B1B1, seq: 65000, ts: 77, pt: pts[2]}
	h.publish(1, 1, plane.Track{Kind: plane.Video, SrcID: srcA, CNAME: "alias-a"})
	h.publish(2, 2, plane.Track{Kind: plane.Video, SrcID: srcB, CNAME: "alias-b"})
	return a, b
}

func (h *hall) passes() bool {
	return h.topo == "relay" || h.topo == "video-switching-mcu" || h.topo == "asymmetric"
}

// sub subscribes a leg to a track under a name; slots keep theirs.
func (h *hall) sub(name string, leg graph.LegID, t graph.TrackID, ssrc uint32, slot bool) {
	s := plane.Subscription{Conf: hallConf, Sub: ids.Subscription(name), Conn: ids.Connection(rune('0' + leg)), MID: "0", SSRC: slotBase + ssrc,
		RTXSSRC: rtxBase + ssrc, Slot: slot, Topology: h.topo, Anonymous: h.anon}
	if t != 0 {
		s.Track = ids.Track(rune('0' + t))
	}
	c := engine.SubConfig{Sub: s, Track: t, Leg: leg}
	h.subs[s.Sub] = c
	h.eng.Subscribe(h.now, c, &h.o)
	h.drain()
}

// show puts a track into the slot of some legs, of all but its own by default:
// control asks nobody to look at himself.
func (h *hall) show(t graph.TrackID, legs ...graph.LegID) {
	if len(legs) == 0 {
		legs = []graph.LegID{1, 2, 3, 4}
	}
	for _, leg := range legs {
		if leg != h.home[t] {
			h.sub("slot-"+string(rune('0'+leg)), leg, t, uint32(leg), true)
		}
	}
}

// everybody subscribes every leg to every other's track.
func (h *hall) everybody() {
	for leg := graph.LegID(1); leg <= 4; leg++ {
		for t := graph.TrackID(1); t <= 2; t++ {
			if h.home[t] != leg {
				h.sub("sub-"+string(rune('0'+leg))+string(rune('0'+t)), leg, t, uint32(leg)+16*uint32(t-1), false)
			}
		}
	}
}

// leave ends everything and checks that the memory came back.
func (h *hall) leave() {
	for t := range h.home {
		h.unpublish(t)
	}
	for i := graph.LegID(1); i <= 9; i++ {
		h.close(i)
	}
	h.empty()
}

// topologies are the names the engine knows how to serve.
var topologies = []string{"sfu", "switch", "rtcp-terminating-mcu", "relay", "video-switching-mcu", "asymmetric"}

func (h *hall) slots() bool {
	return h.topo == "switch" || h.topo == "rtcp-terminating-mcu" || h.topo == "video-switching-mcu"
}

// stage sets the usual scene of a topology: A on leg 1 is shown to all, B on leg
// 2 to those who see more than one. Asymmetric: 1 and 2 are a group, leg 3 is
// outside and hears the mix that comes from leg 4.
func (h *hall) stage() (a, b *cam) {
	a, b = h.room(0)
	switch {
	case h.slots():
		h.show(1)
	case h.topo == "asymmetric":
		h.publish(3, 3, plane.Track{Kind: plane.Video, SrcID: 0xCCCC0001, CNAME: "alias-c"})
		h.publish(4, 4, plane.Track{Kind: plane.Video, CNAME: "mixer", Mixed: true})
		for leg := graph.LegID(1); leg <= 2; leg++ {
			h.sub("group-"+string(rune(48+leg)), leg, 3-graph.TrackID(leg), uint32(leg), false)
			h.sub("outer-"+string(rune('0'+leg)), leg, 3, 16+uint32(leg), false)
		}
		h.sub("mix", 3, 4, 3, false)
		mix := &cam{track: 4, ssrc: 0xD1D1D1D1, pt: 110, csrc: []uint32{srcA, srcB}}
		h.rtp(4, mix.frame(true))
		h.rtp(4, mix.frame(false))
	default:
		h.everybody()
	}
	return a, b
}
