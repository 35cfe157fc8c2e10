package engine_test

import (
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
)

// TestB2B2_OneNameForAnOrigin: sound and picture of one side reach the other
// under one CNAME, which is not the one that side gave itself.
func TestB2B2_OneNameForAnOrigin(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Audio, plane.Video)
	x, y := a.publish("0", plane.Audio, 0xA1), a.publish("1", plane.Video, 0xA2)
	b := r.join(0, plane.LegMedia{Sections: []plane.Section{
		{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}},
		{MID: "s1", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}}}})
	s, o := b.subscribe(x, plane.Subscription{}), b.subscribe(y, plane.Subscription{MID: "s1"})
	for i := range 200 {
		a.rtcp(&prtcp.SenderReport{SSRC: 0xA1, NTPTime: uint64(i + 1)}, prtcp.NewCNAMESourceDescription(0xA1, "own-name-of-a"), prtcp.NewCNAMESourceDescription(0xA2, "own-name-of-a"))
		x.send([]byte("voice"), false)
		y.frame(i == 0)
		r.run(20 * time.Millisecond)
	}
	n := names(b)
	if n[s.SSRC] == "" || n[s.SSRC] != n[o.SSRC] {
		t.Fatalf("%v", n)
	}
	for ssrc, name := range n {
		if name == "own-name-of-a" || ssrc == 0xA1 || ssrc == 0xA2 {
			t.Fatalf("%x is called %q", ssrc, name)
		}
	}
}

// TestSPL2_OneNameOnTwoFlows: two parts of one terminal, each with a leg of its
// own and one CNAME, are neither a collision nor a loop.
func TestSPL2_OneNameOnTwoFlows(t *testing.T) {
	r := newRoom(t, 1)
	x, y := r.publisher(0, plane.Audio), r.publisher(0, plane.Video)
	sound, picture := x.publish("0", plane.Audio, 0xA1), y.publish("0", plane.Video, 0xB1)
	v := r.join(0, plane.LegMedia{Sections: []plane.Section{
		{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}},
		{MID: "s1", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}}}})
	v.subscribe(sound, plane.Subscription{})
	v.subscribe(picture, plane.Subscription{MID: "s1"})
	for i := range 100 {
		x.rtcp(prtcp.NewCNAMESourceDescription(0xA1, "box@example.org"))
		y.rtcp(prtcp.NewCNAMESourceDescription(0xB1, "box@example.org"))
		sound.send([]byte("voice"), false)
		picture.frame(i == 0)
		r.run(20 * time.Millisecond)
	}
	for _, p := range []*peer{x, y, v} {
		if g := rtcpGot[*prtcp.Goodbye](p); len(g) != 0 {
			t.Fatalf("%v", g)
		}
	}
	if slices.ContainsFunc(r.events, func(e plane.Event) bool { return e.Kind == plane.SSRCChanged || e.Kind == plane.TrackEnded }) || len(v.rtpGot(0)) != 200 {
		t.Fatalf("%d packets, %+v", len(v.rtpGot(0)), r.events)
	}
	// SPL-3: our reports to either are about its own streams.
	for p, ssrc := range map[*peer]uint32{x: 0xA1, y: 0xB1} {
		for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
			for _, k := range rr.Reports {
				if k.SSRC != ssrc {
					t.Fatalf("%x is told of %x", ssrc, k.SSRC)
				}
			}
		}
	}
}

// TestMTR6_RepairsHaveTheirOwnSSRC: what a translator adds, here repairs, has
// an SSRC of its own; the stream keeps its source's, and both one name.
func TestMTR6_RepairsHaveTheirOwnSSRC(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video)
	x := p.prepare("0", plane.Video, 0x11111111)
	x.track.Keep = true
	x.p.announce(x)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 100 {
		x.frame(i == 0)
		r.run(20 * time.Millisecond)
	}
	v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: 0x11111111, Nacks: []prtcp.NackPair{{PacketID: x.seq - 3}}})
	r.turn()
	if re := v.rtpGot(s.RTXSSRC); len(re) != 1 || re[0].SSRC == 0x11111111 {
		t.Fatalf("%v", re)
	}
	if n := names(v); n[0x11111111] != x.track.CNAME || (n[s.RTXSSRC] != "" && n[s.RTXSSRC] != x.track.CNAME) {
		t.Fatalf("%v", n)
	}
}

// TestPTP6_RepairsGoOn: who loses a tenth of what it is sent gets all of it
// again, however long.
func TestPTP6_RepairsGoOn(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	asked := 0
	for i := range 1000 {
		x.send(append([]byte{0x10, byte(min(i, 1)), 0x9d, 0x01, 0x2a}, make([]byte, 1000)...), true)
		x.ts += 3000
		r.run(10 * time.Millisecond)
		if i%10 == 9 {
			ps := v.rtpGot(s.SSRC)
			v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: ps[len(ps)-2].SequenceNumber}}})
			asked++
		}
	}
	r.turn()
	if n := len(v.rtpGot(s.RTXSSRC)); n != asked {
		t.Fatalf("%d of %d", n, asked)
	}
}
