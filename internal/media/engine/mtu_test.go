package engine_test

import (
	"bytes"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// TestQ15_ForwardedPacketsFit: what is forwarded, and what is resent of it, stays
// within 1232 octets of UDP, whatever a leg adds: what can be done without is left
// out of headers first, and only where it must be. RTCP stays within 1200.
func TestQ15_ForwardedPacketsFit(t *testing.T) {
	const tag = 16
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	x := r.join(0, m).publish("0", plane.Video, 0xA1)
	x.ext = map[uint8][]byte{}
	for _, e := range []plane.Ext{plane.ExtOrientation, plane.ExtAbsCapture, plane.ExtPlayoutDelay, plane.ExtColorSpace, plane.ExtVideoContent} {
		if id := pubExts[e]; id != 0 {
			x.ext[id] = []byte{1, 2, 3}
		}
	}
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{Slot: true})
	lens := []int{100, 1100, 1140, 1150, 1160, 1170, 1176, 1180}
	for i := range 200 {
		head := vp8Inter
		if i == 0 {
			head = vp8Key
		}
		x.send(append(bytes.Clone(head), make([]byte, lens[i%len(lens)]-len(head))...), true)
		x.ts += 3000
		r.run(20 * time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 200 {
		t.Fatalf("%d of 200", len(got))
	}
	last := got[len(got)-1].SequenceNumber
	v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: last - 17, LostPackets: 0xffff}}})
	r.run(time.Second)
	lean, full, longest := 0, 0, 0
	for _, g := range v.got {
		if g.rtcp {
			if len(g.b)+14 > 1200 {
				t.Errorf("RTCP of %d octets", len(g.b))
			}
			continue
		}
		if longest = max(longest, len(g.b)+tag); len(g.b)+tag > 1232 {
			t.Errorf("%d octets", len(g.b)+tag)
		}
		var h rtp.Header
		if rtp.Parse(g.b, &h) != rtp.OK {
			t.Fatal("no RTP")
		}
		if _, ok := h.Ext(g.b, subExts[plane.ExtTransportCC]); !ok {
			t.Error("no transport-wide number")
		}
		if _, ok := h.Ext(g.b, subExts[plane.ExtAbsSendTime]); ok {
			full++
		} else {
			lean++
		}
	}
	t.Logf("longest %d octets, %d as they should be, %d lean", longest, full, lean)
	if full < 100 || len(v.rtpGot(s.RTXSSRC)) < 10 {
		t.Errorf("%d full, %d resent", full, len(v.rtpGot(s.RTXSSRC)))
	}
	if lean == 0 && subExts[plane.ExtAbsSendTime] != 0 {
		t.Error("none was too long: the test shows nothing")
	}
}
