package engine_test

import (
	"bytes"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
)

// TestL1_KeyframeIsAskedForWhenItCanBeSent: a keyframe that comes before the
// receiver's keys is lost on it, and the next may be asked for only half a
// second later; so nothing is asked, counted or begun until the leg is ready.
func TestL1_KeyframeIsAskedForWhenItCanBeSent(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	x.frame(true)
	r.run(5 * time.Second)
	x.p.clear()

	v := r.arrive(0, plane.LegMedia{Sections: []plane.Section{{
		MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}},
	}}})
	sub := v.subscribe(x, plane.Subscription{})
	for range 10 {
		x.frame(false)
		r.run(33 * time.Millisecond)
	}
	x.frame(true) // somebody else asked
	r.run(33 * time.Millisecond)
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n != 0 {
		t.Fatalf("%d PLI up before the keys", n)
	}
	if got := v.rtpGot(sub.SSRC); len(got) != 0 {
		t.Fatalf("%d packets before the keys", len(got))
	}

	v.ready()
	r.run(time.Millisecond)
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n != 1 {
		t.Fatalf("%d PLI up as soon as it is ready", n)
	}
	x.frame(false)
	x.frame(true)
	r.run(time.Millisecond)
	if got := v.rtpGot(sub.SSRC); len(got) != 1 || !bytes.Equal(got[0].Payload, vp8Key) {
		t.Fatalf("begins with %v, not with the keyframe", got)
	}
}
