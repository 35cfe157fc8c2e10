package engine_test

import (
	"testing"
	"time"

	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// limit sends a TMMBR for a stream of ours.
func (p *peer) limit(ssrc uint32, bps uint64) {
	p.rawRTCP(rtcp.AppendTMMBR(rtcp.AppendRR(nil, 77, nil), 77, []rtcp.Limit{{SSRC: ssrc, Bitrate: bps, Overhead: 40}}))
	p.r.turn()
}

// limits returns what a peer was asked or told of a type of limit message.
func (p *peer) limits(format uint8) (list []rtcp.Limit) {
	for _, s := range p.got {
		var q rtcp.Packet
		for it := rtcp.Parse(s.b); s.rtcp && it.Next(&q); {
			if q.Type == rtcp.TypeRTPFB && q.Count == format {
				for i := range q.Limits() {
					list = append(list, q.Limit(i))
				}
			}
		}
	}
	return list
}

// TestMIX9_ALimitReachesTheMixer: TMMBN to the listener at once; the mixer is
// asked for what its fastest listener takes, and nobody else hears of it.
func TestMIX9_ALimitReachesTheMixer(t *testing.T) {
	r := newRoom(t, 1)
	m := r.newMixer(0)
	p, q := r.join(0, mixListener()), r.join(0, mixListener())
	s, o := p.subscribe(m.pub, plane.Subscription{}), q.subscribe(m.pub, plane.Subscription{})
	a := r.publisher(0, plane.Audio)
	up := a.publish("0", plane.Audio, 0xA1)
	for range 50 {
		m.mix(7)
		up.send([]byte("voice"), false)
	}
	p.limit(s.SSRC, 200_000)
	if l := p.limits(rtcp.FmtTMMBN); len(l) != 1 || l[0].SSRC != 77 || l[0].Bitrate != 200_000 || l[0].Overhead != 40 {
		t.Fatalf("%+v", l)
	}
	if l := m.p.limits(rtcp.FmtTMMBR); len(l) != 0 {
		t.Fatalf("limited for one of two: %+v", l)
	}
	q.limit(o.SSRC, 300_000)
	if l := m.p.limits(rtcp.FmtTMMBR); len(l) != 1 || l[0].SSRC != m.ssrc || l[0].Bitrate > 300_000 || l[0].Bitrate < 299_990 {
		t.Fatalf("%+v", l)
	}
	p.limit(0xBAD, 1000) // not ours
	if n := len(p.limits(rtcp.FmtTMMBN)); n != 1 {
		t.Fatalf("%d notifications", n)
	}
	n := len(p.rtpGot(s.SSRC))
	for range 50 {
		m.mix(7)
	}
	if len(p.rtpGot(s.SSRC)) != n+50 || len(a.limits(rtcp.FmtTMMBR)) != 0 {
		t.Fatal("the mix is held back, or another's uplink limited")
	}
}

// TestLimitChoosesALayer: a receiver that asks for less gets the encoding that
// fits, others are not touched.
func TestLimitChoosesALayer(t *testing.T) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.Layers = []plane.Layer{{RID: "l", SSRC: 0xA1}, {RID: "h", SSRC: 0xA2}}
	p := r.join(0, m)
	low := p.publish("0", plane.Video, 0xA1)
	high := *low
	high.ssrc, high.seq = 0xA2, 20
	v, w := r.subscriber(0, 1, plane.Video), r.subscriber(0, 1, plane.Video)
	s, o := v.subscribe(low, plane.Subscription{}), w.subscribe(low, plane.Subscription{})
	play := func(frames int) {
		for i := range frames {
			low.frame(i%15 == 0)
			key := []byte{0x10, byte(min(i%15, 1)), 0x9d, 0x01, 0x2a}
			high.send(append(key, make([]byte, 900)...), true)
			high.ts += 3000
			r.run(time.Second / 30)
		}
	}
	play(90)
	big := func(x *peer, ssrc uint32) (n int) {
		for _, q := range x.rtpGot(ssrc) {
			if len(q.Payload) > 500 {
				n++
			}
		}
		return n
	}
	if big(v, s.SSRC) < 60 {
		t.Fatalf("%d large pictures before", big(v, s.SSRC))
	}
	v.limit(s.SSRC, 50_000)
	play(30)
	v.clear()
	w.clear()
	play(60)
	if n := len(v.rtpGot(s.SSRC)); n != 60 || big(v, s.SSRC) != 0 || big(w, o.SSRC) != 60 {
		t.Fatalf("%d pictures, %d large; the other %d", n, big(v, s.SSRC), big(w, o.SSRC))
	}
}
