package engine_test

import (
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// watched is a camera of one publisher and a receiver of it, which acknowledges
// what it gets by transport-wide feedback.
type watched struct {
	r *room
	x *pub
	v *peer
	s plane.Subscription
	n int     // of what the receiver got that was told
	m uint8   // feedback messages
	t []int64 // transport-wide numbers as they came, extended
}

func newWatched(t *testing.T) *watched {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	w := &watched{r: r, x: x, v: v, s: v.subscribe(x, plane.Subscription{})}
	for i := range 20 {
		w.picture(i == 0)
	}
	w.tell(nil)
	return w
}

func (w *watched) picture(key bool) {
	head := vp8Inter
	if key {
		head = vp8Key
	}
	w.x.send(append(head[:len(head):len(head)], make([]byte, 900)...), true)
	w.x.ts += 3000
	w.r.run(10 * time.Millisecond)
}

// tell sends feedback on all that came since the last, but that the packets with
// these transport-wide numbers were lost.
func (w *watched) tell(lost func(tw uint16) bool) {
	ps := w.v.rtpGot(0)[w.n:]
	w.n += len(ps)
	var base uint16
	var deltas []int32
	for i, p := range ps {
		b := p.GetExtension(subExts[plane.ExtTransportCC])
		tw := uint16(b[0])<<8 | uint16(b[1])
		if i == 0 {
			base = tw
		}
		d := int32(40)
		if lost != nil && lost(tw) {
			d = rtcp.Missing
		}
		deltas = append(deltas, d)
	}
	w.m++
	w.v.rawRTCP(rtcp.AppendTWCC(rtcp.AppendRR(nil, 77, nil), 77, w.s.SSRC, base, uint32(w.r.now/64e6), w.m, deltas))
	w.r.turn()
}

// TestFeedbackRepairs: what feedback tells lost is resent without a NACK, once;
// so is a retransmission; what may only be late, as few came after it, has time
// until the next feedback.
func TestFeedbackRepairs(t *testing.T) {
	w := newWatched(t)
	again := func() int { return len(w.v.rtpGot(w.s.RTXSSRC)) }
	nth := func(i int) func(uint16) bool {
		k := -1
		return func(uint16) bool { k++; return k == i }
	}
	for range 10 {
		w.picture(false)
	}
	w.tell(nth(2))
	if n := again(); n != 1 {
		t.Fatalf("%d answers to one loss", n)
	}
	lost := w.v.rtpGot(w.s.SSRC)[22].SequenceNumber
	rtx := w.v.rtpGot(w.s.RTXSSRC)[0]
	if seq := uint16(rtx.Payload[0])<<8 | uint16(rtx.Payload[1]); seq != lost {
		t.Fatalf("%d resent for %d", seq, lost)
	}
	// A NACK for it within the round trip is the same wish.
	w.v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: w.s.SSRC, Nacks: []prtcp.NackPair{{PacketID: lost}}})
	if w.r.turn(); again() != 1 {
		t.Fatal("answered twice")
	}
	for range 5 {
		w.picture(false)
	}
	w.tell(nth(0)) // the retransmission
	if n := again(); n != 2 {
		t.Fatalf("%d answers, where the first was lost", n)
	}
	for range 6 {
		w.picture(false)
	}
	last := len(w.v.rtpGot(0)) - w.n - 1
	w.tell(nth(last))
	if n := again(); n != 2 {
		t.Fatalf("%d answers: the last of all may be late", n)
	}
	for range 5 {
		w.picture(false)
	}
	w.tell(nil)
	if n := again(); n != 3 {
		t.Fatalf("%d answers: it was not late", n)
	}
}

// TestA24_RetransmissionsAreBounded: who asks for everything without end is sent
// at most half of the media again, each number once in a round trip, and nothing
// that was not sent.
func TestA24_RetransmissionsAreBounded(t *testing.T) {
	w := newWatched(t)
	ask := func(from uint16, n int) {
		pairs := make([]prtcp.NackPair, 0, n/17)
		for i := 0; i < n; i += 17 {
			pairs = append(pairs, prtcp.NackPair{PacketID: from + uint16(i), LostPackets: 0xffff})
		}
		w.v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: w.s.SSRC, Nacks: pairs})
		w.r.turn()
	}
	got := w.v.rtpGot(w.s.SSRC)
	last := got[len(got)-1].SequenceNumber
	if ask(last+1, 1000); len(w.v.rtpGot(w.s.RTXSSRC)) != 0 {
		t.Fatal("what was never sent was resent")
	}
	for range 5 {
		ask(last-4, 1)
	}
	if n := len(w.v.rtpGot(w.s.RTXSSRC)); n == 0 || n > 17 {
		t.Fatalf("%d answers to the same wish five times", n)
	}
	w.v.clear()
	media, again := 0, 0
	for i := range 3000 {
		w.picture(i%100 == 0)
		ask(w.x.seq-900, 900) // of ours, as numbers differ: most of them
		ask(last+uint16(i)-500, 600)
		for _, p := range w.v.rtpGot(0) {
			if p.SSRC == w.s.RTXSSRC {
				again += len(p.Payload)
			} else {
				media += len(p.Payload)
			}
		}
		w.v.clear()
	}
	t.Logf("%d bytes again for %d of media", again, media)
	if again > media/2+200<<10 || again == 0 {
		t.Errorf("%d bytes again for %d of media", again, media)
	}
}

// TestA23_PassedRequestsCount: requests for keyframes that pass as they are, of a
// relay's receivers, are spaced with those of everybody else.
func TestA23_PassedRequestsCount(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video)
	x := a.publish("0", plane.Video, 0xA1)
	var through, own []*peer
	var subs []plane.Subscription
	for range 5 {
		v := r.subscriber(0, 1, plane.Video)
		v.subscribe(x, plane.Subscription{Topology: "relay"})
		through = append(through, v)
		w := r.subscriber(0, 1, plane.Video)
		own, subs = append(own, w), append(subs, w.subscribe(x, plane.Subscription{}))
	}
	x.frame(true)
	r.run(5 * time.Second)
	a.clear()
	var at []time.Duration
	for ms := 0; ms < 60_000; ms += 50 {
		x.frame(false)
		for i, v := range through {
			ssrc := uint32(0xE0 + i)
			if i%2 == 0 {
				v.rtcp(&prtcp.ReceiverReport{SSRC: ssrc}, &prtcp.PictureLossIndication{SenderSSRC: ssrc, MediaSSRC: 0xA1})
			} else {
				v.rtcp(&prtcp.ReceiverReport{SSRC: ssrc}, &prtcp.FullIntraRequest{SenderSSRC: ssrc, MediaSSRC: 0xA1, FIR: []prtcp.FIREntry{
					{SSRC: 0xA1, SequenceNumber: uint8(ms / 50)}, {SSRC: 0xBEEF, SequenceNumber: 1}}})
			}
			own[i].rtcp(&prtcp.PictureLossIndication{SenderSSRC: 77, MediaSSRC: subs[i].SSRC})
		}
		r.run(50 * time.Millisecond)
		for range len(rtcpGot[*prtcp.PictureLossIndication](a)) + len(rtcpGot[*prtcp.FullIntraRequest](a)) {
			at = append(at, time.Duration(ms)*time.Millisecond)
		}
		a.clear()
	}
	for i := 1; i < len(at); i++ {
		least := time.Second
		if i > 2 {
			least = 2 * time.Second
		}
		if d := at[i] - at[i-1]; d < least-50*time.Millisecond { // a step of the test
			t.Fatalf("a request %v after another, of %v", d, at)
		}
	}
	if len(at) < 28 {
		t.Fatalf("%d requests in a minute", len(at))
	}
}
