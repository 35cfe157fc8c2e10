package engine_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
)

// TestRTR6_BrowsersAreRelayedPerLeg: SSRC, number, time and RTCP as they came;
// payload type and extensions by URI as each leg has them, MID and transport-wide
// numbers anew, in one shard and, for the media, across two.
func TestRTR6_BrowsersAreRelayedPerLeg(t *testing.T) {
	for _, there := range []int{0, 1} {
		r := newRoom(t, 2)
		a := r.publisher(0, plane.Video)
		x := a.publish("0", plane.Video, 0xA1)
		x.ext = map[uint8][]byte{pubExts[plane.ExtOrientation]: {1}}
		v := r.subscriber(there, 1, plane.Video)
		v.subscribe(x, plane.Subscription{Topology: "relay"})
		r.turn()
		for i := range 50 {
			x.frame(i == 0)
			r.run(20 * time.Millisecond)
		}
		ps := v.rtpGot(0)
		if len(ps) != 50 {
			t.Fatalf("shard %d: %d packets", there, len(ps))
		}
		for i, p := range ps {
			if p.SSRC != 0xA1 || p.SequenceNumber != uint16(1000+i) || p.Timestamp != uint32(5000+3000*i) || p.PayloadType != subVP8.PT || !p.Marker {
				t.Fatalf("%v", p)
			}
			tw := p.GetExtension(subExts[plane.ExtTransportCC])
			if !bytes.Equal(p.GetExtension(subExts[plane.ExtOrientation]), []byte{1}) || string(p.GetExtension(subExts[plane.ExtMID])) != "s0" ||
				len(tw) != 2 || int(tw[0])<<8|int(tw[1]) != i {
				t.Fatalf("%v", p)
			}
		}
		if there != 0 {
			continue // RTCP crosses within a shard
		}
		relayedRTCP(t, r, a, v)
	}
}

func relayedRTCP(t *testing.T, r *room, a, v *peer) {
	t.Helper()
	a.clear()
	v.clear()
	raw := func(ps ...prtcp.Packet) []byte {
		b, err := prtcp.Marshal(ps)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sr := raw(&prtcp.SenderReport{SSRC: 0xA1, NTPTime: 9, RTPTime: 8, PacketCount: 7, OctetCount: 6}, prtcp.NewCNAMESourceDescription(0xA1, "a"))
	a.rawRTCP(sr)
	r.turn()
	if len(v.got) != 1 || !bytes.Equal(v.got[0].b, sr) {
		t.Fatalf("%v", v.got)
	}
	rr := raw(&prtcp.ReceiverReport{SSRC: 0xE1, Reports: []prtcp.ReceptionReport{{SSRC: 0xA1, FractionLost: 40, LastSenderReport: 5, Delay: 6}}}, &prtcp.PictureLossIndication{SenderSSRC: 0xE1, MediaSSRC: 0xA1})
	v.rawRTCP(rr)
	r.turn()
	if len(a.got) != 1 || !bytes.Equal(a.got[0].b, rr) {
		t.Fatalf("%v", a.got)
	}
	// Feedback by transport-wide numbers is about our numbering of this leg.
	a.clear()
	v.rawRTCP(raw(&prtcp.ReceiverReport{SSRC: 0xE1}, &prtcp.TransportLayerCC{Header: prtcp.Header{Count: 15, Type: 205, Length: 5}, SenderSSRC: 0xE1, MediaSSRC: 0xA1, PacketStatusCount: 1,
		PacketChunks: []prtcp.PacketStatusChunk{&prtcp.RunLengthChunk{Type: prtcp.TypeTCCRunLengthChunk, PacketStatusSymbol: 0, RunLength: 1}}}))
	r.turn()
	for _, p := range rtcpGot[*prtcp.TransportLayerCC](a) {
		if p.SenderSSRC == 0xE1 {
			t.Fatal("transport-wide feedback crossed")
		}
	}
	// Neither do we report on what others report on.
	for _, p := range rtcpGot[*prtcp.ReceiverReport](a) {
		if p.SSRC != 0xE1 && len(p.Reports) > 0 {
			t.Fatalf("%v", p)
		}
	}
}

// TestRelayBesideProjections: on a leg with both, each gets its own: blocks
// about our streams end here, the others cross.
func TestRelayBesideProjections(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video)
	x := a.publish("0", plane.Video, 0xA1)
	b := r.publisher(0, plane.Video)
	y := b.publish("0", plane.Video, 0xB1)
	v := r.subscriber(0, 2, plane.Video)
	v.subscribe(x, plane.Subscription{Topology: "relay"})
	s := v.subscribe(y, plane.Subscription{MID: "s1", Sub: "own", SSRC: 0x77, RTXSSRC: 0x78})
	for i := range 30 {
		x.frame(i == 0)
		y.frame(i == 0)
		r.run(20 * time.Millisecond)
	}
	if len(v.rtpGot(0xA1)) != 30 || len(v.rtpGot(s.SSRC)) != 30 {
		t.Fatalf("%d and %d", len(v.rtpGot(0xA1)), len(v.rtpGot(s.SSRC)))
	}
	a.clear()
	b.clear()
	v.rtcp(&prtcp.ReceiverReport{SSRC: 0xE1, Reports: []prtcp.ReceptionReport{{SSRC: s.SSRC, FractionLost: 9}, {SSRC: 0xA1, FractionLost: 40}}},
		&prtcp.PictureLossIndication{SenderSSRC: 0xE1, MediaSSRC: s.SSRC}, &prtcp.FullIntraRequest{SenderSSRC: 0xE1, FIR: []prtcp.FIREntry{{SSRC: s.SSRC}}},
		&prtcp.TransportLayerNack{SenderSSRC: 0xE1, MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: 1}}})
	r.turn()
	var blocks []prtcp.ReceptionReport
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](a) {
		blocks = append(blocks, rr.Reports...)
	}
	if len(blocks) != 1 || blocks[0].SSRC != 0xA1 || len(rtcpGot[*prtcp.PictureLossIndication](a)) != 0 || len(rtcpGot[*prtcp.FullIntraRequest](a)) != 0 || len(rtcpGot[*prtcp.TransportLayerNack](a)) != 0 {
		t.Fatalf("%v", a.got)
	}
	if len(rtcpGot[*prtcp.PictureLossIndication](b)) != 1 {
		t.Fatal("our own stream's request was not acted on")
	}
	// A report on our stream alone crosses as an empty one.
	a.clear()
	v.rtcp(&prtcp.ReceiverReport{SSRC: 0xE1, Reports: []prtcp.ReceptionReport{{SSRC: s.SSRC, FractionLost: 9}}})
	r.turn()
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](a) {
		if len(rr.Reports) != 0 {
			t.Fatalf("%v", rr)
		}
	}
	// Malformed: nothing crosses.
	a.clear()
	v.rawRTCP([]byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 200, 0, 99})
	if r.turn(); len(a.got) != 0 {
		t.Fatalf("%v", a.got)
	}
}

// TestRecipeChangesInTheCall: a leg goes over to a relay and back without a
// leak, each time under SSRCs that were not used up.
func TestRecipeChangesInTheCall(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video)
	x := a.publish("0", plane.Video, 0xA1)
	v := r.subscriber(0, 1, plane.Video)
	send := func() {
		for i := range 5 {
			x.frame(i == 0)
			r.run(20 * time.Millisecond)
		}
	}
	s := v.subscribe(x, plane.Subscription{})
	send()
	s.Topology = "relay"
	v.subscribe(x, s)
	send()
	s.Topology, s.SSRC, s.RTXSSRC = "sfu", 0x7777, 0x7778
	v.subscribe(x, s)
	send()
	s.Topology = "relay"
	v.subscribe(x, s)
	send()
	var order []uint32
	for _, p := range v.rtpGot(0) {
		if len(order) == 0 || order[len(order)-1] != p.SSRC {
			order = append(order, p.SSRC)
		}
	}
	if !slices.Equal(order, []uint32{0x5000, 0xA1, 0x7777, 0xA1}) || len(v.rtpGot(0)) != 20 {
		t.Fatalf("%x, %d packets", order, len(v.rtpGot(0)))
	}
	// Losses are asked for by us again only while we answer for the stream.
	r.shards[0].Unsubscribe(r.now, s.Sub, &r.outs[0])
	x.seq += 3
	send()
	if n := len(rtcpGot[*prtcp.TransportLayerNack](a)); n == 0 {
		t.Fatal("no NACK after the relay")
	}
	// The same when a relayed track ended and another is published there.
	v.subscribe(x, plane.Subscription{Sub: "once more", SSRC: 0x8888, Topology: "relay"})
	r.shards[0].RemoveTrack(r.now, x.id, &r.outs[0])
	y := *x
	y.id, y.track.Track = 99, "trk_again"
	a.announce(&y)
	a.clear()
	y.frame(true)
	y.seq += 3
	y.frame(false)
	r.run(100 * time.Millisecond)
	if n := len(rtcpGot[*prtcp.TransportLayerNack](a)); n == 0 {
		t.Fatal("no NACK for the next track")
	}
}

// TestVSM5_APeerThatSwitches: a peer MCU changes the SSRC it selects without
// BYE: a new source's state, a keyframe asked for, the old one timed out (C4), no
// collision; reports it relays about others are nobody's.
func TestVSM5_APeerThatSwitches(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video)
	x := a.publish("0", plane.Video, 0xA1)
	x.noMID = true
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 30 {
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	a.clear()
	x.ssrc, x.seq, x.ts = 0xA2, 40000, 7
	x.frame(false)
	r.run(time.Second)
	if p := rtcpGot[*prtcp.PictureLossIndication](a); len(p) == 0 || p[0].MediaSSRC != 0xA2 {
		t.Fatalf("%v", p)
	}
	a.rtcp(&prtcp.ReceiverReport{SSRC: 0xE9, Reports: []prtcp.ReceptionReport{{SSRC: 0x12345, FractionLost: 255, LastSenderReport: 1, Delay: 1}}})
	for i := range 35 * 30 {
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	var st plane.LinkStats
	if r.shards[0].LegStats(a.leg, &st); st.FractionLostOut != 0 || st.RTT != 0 {
		t.Fatalf("%+v", st)
	}
	if len(rtcpGot[*prtcp.Goodbye](a)) != 0 || len(rtcpGot[*prtcp.Goodbye](v)) != 0 {
		t.Fatal("a collision was seen")
	}
	old := 0
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](a) {
		for _, k := range rr.Reports {
			if k.SSRC == 0xA1 {
				old++
			}
		}
	}
	if old > 1 {
		t.Fatalf("%d reports on the one no longer sent", old)
	}
	ps := v.rtpGot(s.SSRC)
	for i := 1; i < len(ps); i++ {
		if ps[i].SequenceNumber != ps[i-1].SequenceNumber+1 {
			t.Fatalf("number %d after %d", ps[i].SequenceNumber, ps[i-1].SequenceNumber)
		}
	}
	if len(ps) < 35*30 {
		t.Fatalf("%d packets", len(ps))
	}
}

// TestSWX8_NoSlotLooksBack: control should not, and the engine does not: a leg's
// slot is never filled with what the leg sends.
func TestSWX8_NoSlotLooksBack(t *testing.T) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	m.Sections = append(m.Sections, plane.Section{MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}})
	a, b := r.join(0, m), r.publisher(0, plane.Video)
	x, y := a.publish("0", plane.Video, 0xA1), b.publish("0", plane.Video, 0xB1)
	s := a.subscribe(y, plane.Subscription{Slot: true})
	send := func() {
		for i := range 10 {
			x.frame(i == 0)
			y.frame(i == 0)
			r.run(20 * time.Millisecond)
		}
	}
	send()
	a.subscribe(x, s)
	a.subscribe(x, plane.Subscription{Sub: "relay", SSRC: 0x99, Topology: "relay"})
	send()
	ps := a.rtpGot(0)
	for _, p := range ps {
		if p.SSRC != s.SSRC || !slices.Equal(p.CSRC, []uint32{y.track.SrcID}) {
			t.Fatalf("%v", p)
		}
	}
	if len(ps) != 20 {
		t.Fatalf("%d packets", len(ps))
	}
}
