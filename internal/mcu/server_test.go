package mcu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// MIX-1 through the inside link: WebRTC and G.711 sources and listeners in one room.
func TestMIX1_ThroughTheInsideLink(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("a", 0xa1, opus, 400)
	h.talk("b", 0xb1, opus, 700)
	h.talk("c", 0xc1, pcmu, 1000)
	outs := []struct {
		id    uint32
		hz    float64
		codec plane.Codec
		track ids.Track
	}{{0xa1, 400, opus, ""}, {0xb1, 700, opus, ""}, {0xc1, 1000, pcmu, ""}}
	for i, n := range []string{"a", "b", "c"} {
		outs[i].track = h.start(plane.MixOutput{Codec: outs[i].codec, Listener: ids.Device("dev-" + n)})
	}
	h.run(3 * time.Second)
	for _, o := range outs {
		ps := h.packets(o.track)[50:]
		s := h.strengths(o.codec, ps, 400, 700, 1000)
		for i, hz := range []float64{400, 700, 1000} {
			if hz == o.hz && s[i] > -65 || hz != o.hz && s[i] < -25 {
				t.Errorf("who speaks at %.0f hears %.0f Hz at %.1f dB", o.hz, hz, s[i])
			}
		}
		for _, b := range ps {
			if list, hd := csrcs(t, b); len(list) != 2 || slices.Contains(list, o.id) || hd.SSRC != h.ssrc(o.track) {
				t.Fatalf("%x lists %x", o.id, list)
			}
		}
		if tr := h.p.tracks[o.track]; !tr.Mixed || tr.CNAME != "mixer" || tr.Keep {
			t.Errorf("published as %+v", tr)
		}
	}
}

// MIX-4: nothing of another leg's RTCP is answered with or passed on; the mixer
// reports its own streams only.
func TestMIX4_ReportsNameOnlyItself(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("b", 0xb1, opus, 700)
	o := h.start(plane.MixOutput{Codec: opus, Listener: "dev-a"})
	h.run(time.Second)
	in := onlySub(t, h)
	sr := rtcp.AppendSR(nil, in.SSRC, rtcp.SenderInfo{NTP: 1 << 40, RTP: 5}, []rtcp.Block{{SSRC: h.ssrc(o), Lost: 3}})
	h.p.far[in.Conn].HandleInside([][]byte{sr, rtcp.AppendRR(nil, 0x999, []rtcp.Block{{SSRC: h.ssrc(o)}})})
	h.run(3 * time.Second)
	if len(h.p.rtcp) < 3 {
		t.Fatalf("%d compounds in 4 s", len(h.p.rtcp))
	}
	for _, c := range h.p.rtcp {
		var p rtcp.Packet
		for it := rtcp.Parse(c); it.Next(&p); {
			if s, _ := p.Sender(); s != h.ssrc(o) || (p.Type != rtcp.TypeSR && p.Type != rtcp.TypeSDES) || p.Type == rtcp.TypeSR && p.Blocks() > 0 {
				t.Fatalf("packet type %d of %x with %d blocks", p.Type, s, p.Blocks())
			}
		}
	}
}

func onlySub(t *testing.T, h *house) (out plane.Subscription) {
	t.Helper()
	if len(h.p.subs) != 1 {
		t.Fatalf("%d subscriptions", len(h.p.subs))
	}
	for _, s := range h.p.subs {
		out = s
	}
	return out
}

func TestMIX5_SenderReportsLieOnALine(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("b", 0xb1, opus, 700)
	wide := h.start(plane.MixOutput{Codec: opus})
	phone := h.start(plane.MixOutput{Codec: pcmu})
	rates := map[uint32]float64{h.ssrc(wide): 48000, h.ssrc(phone): 8000}
	first := map[uint32]rtcp.SenderInfo{}
	seen := 0
	for s := range 62 {
		if s%7 == 3 { // the room is late now and then; the line is not
			h.now = h.now.Add(90 * time.Millisecond)
		}
		h.run(time.Second)
		for _, c := range h.p.rtcp {
			var p rtcp.Packet
			for it := rtcp.Parse(c); it.Next(&p); {
				x, ok := p.SenderInfo()
				if ssrc, _ := p.Sender(); ok {
					if f, known := first[ssrc]; !known {
						first[ssrc] = x
					} else if d := float64(x.NTP-f.NTP)/(1<<32) - float64(x.RTP-f.RTP)/rates[ssrc]; math.Abs(d) > 0.001 {
						t.Fatalf("second %d: RTP and NTP differ by %.2f ms", s, d*1000)
					}
					if n := len(h.p.rtp[ssrc]); int(x.Packets) > n || int(x.Packets) < n-60 {
						t.Fatalf("%d packets reported, %d sent", x.Packets, n)
					}
					seen++
				}
			}
		}
		h.p.rtcp = nil
	}
	if seen < 100 {
		t.Errorf("%d reports in a minute", seen)
	}
}

func TestMIX6_WhoLeavesIsNoContributor(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("a", 0xa1, opus, 400)
	b := h.talk("b", 0xb1, opus, 700)
	h.talk("c", 0xc1, opus, 1000)
	o := h.start(plane.MixOutput{Codec: opus, Listener: "dev-a"})
	h.run(time.Second)
	want := []plane.Contributor{{SrcID: 0xb1, CNAME: "c-b"}, {SrcID: 0xc1, CNAME: "c-c"}}
	if got := h.p.contrib[o]; !slices.Equal(got, want) {
		t.Fatalf("%v", got)
	}
	h.leave(b)
	h.run(time.Second)
	if got := h.p.contrib[o]; !slices.Equal(got, want[1:]) {
		t.Fatalf("after B left: %v", got)
	}
	if len(h.p.subs) != 2 {
		t.Errorf("%d subscriptions", len(h.p.subs))
	}
}

// MIX-9, the mixer's part: TMMBR that the engine passes up limits that output.
func TestMIX9_TMMBRLimitsTheOutput(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("b", 0xb1, opus, 700)
	x, y := h.start(plane.MixOutput{Codec: opus}), h.start(plane.MixOutput{Codec: opus})
	h.run(time.Second)
	conn := h.p.tracks[x].Conn
	h.p.far[conn].HandleInside([][]byte{rtcp.AppendTMMBR(nil, 7, []rtcp.Limit{{SSRC: h.ssrc(x), Bitrate: 45_000}})})
	n := len(h.packets(x))
	h.run(3 * time.Second)
	rate := func(o ids.Track) (v int) {
		for _, b := range h.packets(o)[n:] {
			v += 8 * (len(b) + 38)
		}
		return v / 3
	}
	if rate(x) > 45_000 || rate(y) < 50_000 {
		t.Errorf("limited to 45000: %d; not limited: %d", rate(x), rate(y))
	}
}

// A listener whose leg loses packets gets in-band copies; others do not pay.
func TestLossOfALegTurnsFECOn(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("b", 0xb1, opus, 700)
	x := h.start(plane.MixOutput{Codec: opus, Leg: "conn_x"})
	y := h.start(plane.MixOutput{Codec: opus, Leg: "conn_y"})
	h.p.legStats["conn_y"] = plane.LinkStats{}
	h.p.legStats["conn_x"] = plane.LinkStats{}
	h.run(3 * time.Second)
	if s, _ := h.s.Stats(x); s.Shared != 2 {
		t.Fatalf("%+v", s)
	}
	h.p.legStats["conn_x"] = plane.LinkStats{FractionLostOut: 0.1}
	h.run(4 * time.Second)
	for _, o := range []ids.Track{x, y} {
		if s, ok := h.s.Stats(o); !ok || s.Shared != 1 {
			t.Fatalf("%+v", s)
		}
	}
	h.p.legStats["conn_x"] = plane.LinkStats{}
	h.run(35 * time.Second)
	if s, _ := h.s.Stats(x); s.Shared != 2 {
		t.Fatalf("after half a minute without loss: %+v", s)
	}
}

func TestSubscribesOnlyWhileHeard(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("a", 0xa1, opus, 400)
	b := h.talk("b", 0xb1, opus, 700)
	h.run(100 * time.Millisecond)
	if len(h.p.subs) != 0 {
		t.Fatal("subscribed for nobody")
	}
	o := h.start(plane.MixOutput{Codec: opus})
	h.run(100 * time.Millisecond)
	if len(h.p.subs) != 2 {
		t.Fatalf("%d subscriptions", len(h.p.subs))
	}
	b.Muted = true
	h.tell()
	h.run(100 * time.Millisecond)
	if s := onlySub(t, h); s.Track != "a" {
		t.Fatal("the muted one is heard")
	}
	h.s.Stop(conf, o)
	h.run(100 * time.Millisecond)
	if len(h.p.subs) != 0 || len(h.p.tracks) != 0 {
		t.Fatalf("%d subscriptions, %d tracks", len(h.p.subs), len(h.p.tracks))
	}
	h.s.End(conf)
	if len(h.p.closed) != len(h.p.far) || len(h.p.far) == 0 {
		t.Errorf("%d of %d links closed", len(h.p.closed), len(h.p.far))
	}
}

// A hundred listeners spread over connections that the engine can hold.
func TestManyOutputsSpreadOverLinks(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("a", 0xa1, opus, 400)
	var outs []ids.Track
	for i := range 100 {
		outs = append(outs, h.start(plane.MixOutput{Codec: opus, Listener: ids.Device(fmt.Sprint("d", i))}))
	}
	h.run(2500 * time.Millisecond)
	for c, m := range h.p.media {
		n := 0
		for _, s := range m.Sections {
			if s.Recv != nil {
				n++
			}
		}
		if n > laneMax {
			t.Errorf("%s carries %d outputs", c, n)
		}
	}
	for _, o := range outs {
		if n := len(h.packets(o)); n < 120 {
			t.Fatalf("%d packets in 2.5 s", n)
		}
	}
	if s, _ := h.s.Stats(outs[7]); s.Shared != 100 {
		t.Errorf("%+v", s)
	}
	for _, o := range outs[:50] {
		h.s.Stop(conf, o)
	}
	n := len(h.p.far)
	for range 50 {
		h.start(plane.MixOutput{Codec: opus})
	}
	h.run(100 * time.Millisecond)
	if len(h.p.far) != n {
		t.Error("places are not used again")
	}
}

// MTR through the inside link: the source's own SSRC and CNAME in another codec,
// also twice at a time.
func TestMTR1_TranslationKeepsTheSSRC(t *testing.T) {
	h := newHouse(t, Config{})
	h.talk("a", 0x11111111, opus, 440)
	h.talk("b", 0x22222222, opus, 700)
	phone := h.start(plane.MixOutput{Codec: pcmu, Only: "a"})
	wide := h.start(plane.MixOutput{Codec: plane.Codec{Name: "G722", ClockRate: 8000}, Only: "a"})
	h.run(time.Second)
	if s := onlySub(t, h); s.Track != "a" {
		t.Fatal("subscribed to more than the one")
	}
	for _, o := range []ids.Track{phone, wide} {
		if tr := h.p.tracks[o]; !tr.Keep || tr.CNAME != "c-a" || h.ssrc(o) != 0x11111111 {
			t.Fatalf("published as %+v", tr)
		}
	}
	if h.p.tracks[phone].Conn == h.p.tracks[wide].Conn {
		t.Fatal("one SSRC twice on a connection")
	}
	var ps [][]byte
	for _, b := range h.p.rtp[0x11111111] {
		if b[1]&0x7f == 0 {
			ps = append(ps, b)
		}
	}
	if s := h.strengths(pcmu, ps, 440, 700); s[0] < -25 || s[1] > -60 {
		t.Errorf("440 Hz at %.1f dB, 700 Hz at %.1f dB", s[0], s[1])
	}
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: "t", Kind: plane.Audio, Codec: pcmu, Only: "nobody"}); fault.From(err).Code != 404 {
		t.Errorf("a translation of nothing: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, Config{})
	if err := h.s.Can(plane.Video, plane.Codec{Name: "VP8"}); fault.From(err).Code != 503 {
		t.Errorf("video without a maker: %v", err)
	}
	if err := h.s.Can(plane.Audio, plane.Codec{Name: "G729"}); fault.From(err).Reason != "codec-missing" {
		t.Errorf("G.729: %v", err)
	}
	h.p.refuse = errors.New("no")
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: "t", Kind: plane.Audio, Codec: opus}); err == nil {
		t.Error("started without a link")
	}
	h.p.refuse = nil
	h.s.Close()
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: "t", Kind: plane.Audio, Codec: opus}); fault.From(err).Code != 503 {
		t.Errorf("after Close: %v", err)
	}
}

// M3, the audio part: while the other half is stuck and turns come late, every
// slot is made, in order and on its line; more work is refused, what runs goes on.
func TestM3_AudioFirst(t *testing.T) {
	var v *stuckHalf
	h := newHouse(t, Config{Video: Maker{
		Can: func(plane.Codec) error { return nil },
		New: func(HalfConfig) Half { v = &stuckHalf{}; return v },
	}})
	h.talk("a", 0xa1, opus, 400)
	o := h.start(plane.MixOutput{Codec: opus})
	h.start(plane.MixOutput{Kind: plane.Video, Codec: plane.Codec{Name: "VP8", ClockRate: 90000}})
	h.run(10 * time.Second)
	if v == nil || v.ticks == 0 {
		t.Fatal("no video half")
	}
	r := h.s.rooms[conf]
	if r.late.Load() != 0 {
		t.Errorf("%d late slots of %d", r.late.Load(), 500)
	}
	for range 40 { // the processor is taken away for 70 ms now and then
		h.now = h.now.Add(70 * time.Millisecond)
		h.run(200 * time.Millisecond)
	}
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: "late", Kind: plane.Audio, Codec: opus}); err != nil {
		t.Errorf("a few late slots and audio is refused: %v", err)
	}
	h.s.Stop(conf, "late")
	for range 300 { // and then for most of the time
		h.now = h.now.Add(200 * time.Millisecond)
		h.turn()
	}
	if r.late.Load() == 0 {
		t.Error("late slots are not counted")
	}
	ps := h.packets(o)
	for i := 1; i < len(ps); i++ {
		_, p := csrcs(t, ps[i-1])
		if _, q := csrcs(t, ps[i]); q.Seq != p.Seq+1 || q.TS != p.TS+960 {
			t.Fatalf("packet %d: sequence +%d, timestamp +%d", i, q.Seq-p.Seq, q.TS-p.TS)
		}
	}
	if n := int(h.now.Sub(clock.Time(time.Hour)) / Slot); len(ps) < n-3 {
		t.Errorf("%d packets in %d slots", len(ps), n)
	}
	err := h.s.Start(plane.MixOutput{Conf: conf, Track: "more", Kind: plane.Video, Codec: plane.Codec{Name: "VP8"}})
	if f := fault.From(err); f == nil || f.Code != 503 || f.RetryAfter == 0 {
		t.Errorf("video is taken on by a late mixer: %v", err)
	}
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: o, Kind: plane.Audio, Codec: opus}); err != nil {
		t.Errorf("a change of what runs: %v", err)
	}
	h.run(time.Minute)
	if err := h.s.Start(plane.MixOutput{Conf: conf, Track: "more", Kind: plane.Video, Codec: plane.Codec{Name: "VP8"}}); err != nil {
		t.Errorf("after the load has gone: %v", err)
	}
}

// What the picture side refuses is refused to the caller, and not published.
func TestARefusedPictureIsWithdrawn(t *testing.T) {
	v := &stuckHalf{refuse: fault.New(503, "overloaded", "no room")}
	h := newHouse(t, Config{Video: Maker{Can: func(plane.Codec) error { return nil }, New: func(HalfConfig) Half { return v }}})
	err := h.s.Start(plane.MixOutput{Conf: conf, Track: "pic", Kind: plane.Video, Codec: plane.Codec{Name: "VP8", ClockRate: 90000}})
	if f := fault.From(err); f == nil || f.Code != 503 || len(h.p.tracks) != 0 {
		t.Errorf("%v, %d tracks", err, len(h.p.tracks))
	}
}

// stuckHalf is a video half whose encoders never finish.
type stuckHalf struct {
	refuse error
	ticks  int
	frames []ids.Track
	rates  map[ids.Track]uint64
}

func (s *stuckHalf) SetRoom(clock.Time, plane.MixRoom)               {}
func (s *stuckHalf) Start(clock.Time, Output) error                  { return s.refuse }
func (s *stuckHalf) Stop(ids.Track)                                  {}
func (s *stuckHalf) HandleRTP(clock.Time, ids.Track, []byte)         {}
func (s *stuckHalf) HandleSR(clock.Time, ids.Track, rtcp.SenderInfo) {}
func (s *stuckHalf) Gone(clock.Time, ids.Track)                      {}
func (s *stuckHalf) KeyframeWanted(_ clock.Time, t ids.Track)        { s.frames = append(s.frames, t) }
func (s *stuckHalf) SetRate(_ clock.Time, t ids.Track, bps uint64)   { s.rates[t] = bps }
func (s *stuckHalf) SetLoss(clock.Time, ids.Track, float64)          {}
func (s *stuckHalf) Tick(clock.Time)                                 { s.ticks++ }
func (s *stuckHalf) Stats(ids.Track) (plane.MixStats, bool)          { return plane.MixStats{}, false }
func (s *stuckHalf) Close()                                          {}

// MIX-8, the room's part: a PLI for an output reaches its encoder and nothing
// goes to the sources; NeedKeyframe asks the source.
func TestMIX8_KeyframeRequestsStopAtTheMixer(t *testing.T) {
	v := &stuckHalf{rates: map[ids.Track]uint64{}}
	var hc HalfConfig
	h := newHouse(t, Config{Video: Maker{
		Can: func(plane.Codec) error { return nil },
		New: func(c HalfConfig) Half { hc = c; return v },
	}})
	vp8 := plane.Codec{Name: "VP8", PT: 100, ClockRate: 90000}
	h.room.Sources = []plane.MixSource{{Track: "cam", Kind: plane.Video, Device: "d", SrcID: 5, Codec: vp8}}
	h.s.Room(h.room)
	o := h.start(plane.MixOutput{Kind: plane.Video, Codec: vp8, Leg: "conn_v"})
	h.p.legStats["conn_v"] = plane.LinkStats{EstimateOut: 800_000}
	h.turn()
	hc.Host.Want(plane.Video, []Want{{Track: "cam", Width: 640, Height: 360}})
	in := onlySub(t, h)
	if in.Width != 640 || in.Height != 360 {
		t.Errorf("subscribed at %dx%d", in.Width, in.Height)
	}
	hc.Host.Want(plane.Video, []Want{{Track: "cam", Width: 320, Height: 180}})
	if again := onlySub(t, h); again.Sub != in.Sub || again.Width != 320 || again.SSRC != in.SSRC {
		t.Errorf("not changed in place: %+v", again)
	}
	conn := h.p.tracks[o].Conn
	h.p.far[conn].HandleInside([][]byte{rtcp.AppendPLI(nil, 9, h.ssrc(o)), rtcp.AppendFIR(nil, 9, h.ssrc(o), 1)})
	h.run(3 * time.Second)
	if !slices.Equal(v.frames, []ids.Track{o, o}) {
		t.Errorf("asked for %v", v.frames)
	}
	if r := v.rates[o]; r == 0 || r > 800_000 {
		t.Errorf("rate %d for an estimate of 800000", r)
	}
	if len(h.p.rtcp) != 0 {
		t.Fatal("something went upstream")
	}
	hc.Host.NeedKeyframe("cam")
	var p rtcp.Packet
	it := rtcp.Parse(h.p.rtcp[0])
	if m, _ := p.Media(); !it.Next(&p) || p.Type != rtcp.TypePSFB {
		t.Errorf("asked with %d for %x", p.Type, m)
	}
	if m, _ := p.Media(); m != in.SSRC {
		t.Errorf("asked for %x, subscribed as %x", m, in.SSRC)
	}
}

// The real loop, with a real clock: packets come out, and Close leaves nothing.
func TestServerRunsAndCloses(t *testing.T) {
	p := newFakePlane(t)
	clk := clock.NewSystem()
	s := New(Config{Plane: p, Wires: p, Now: clk.Now, Anchor: clk.Anchor()})
	s.Room(plane.MixRoom{Conf: conf, CNAME: "m"})
	if err := s.Start(plane.MixOutput{Conf: conf, Track: "t", Kind: plane.Audio, Codec: opus}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		n := 0
		for _, l := range p.rtp {
			n = len(l)
		}
		p.mu.Unlock()
		if n >= 5 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("no packets")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if c := s.Counters(); c.Rooms != 1 || c.Audio != 1 || c.Slots < 5 {
		t.Errorf("%+v", c)
	}
	s.Close()
	s.Close()
}
