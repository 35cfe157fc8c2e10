package engine_test

import (
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/plane"
)

// probe sends a packet that is all padding, as browsers do to find bandwidth.
func (x *pub) probe() {
	h := prtp.Header{Version: 2, PayloadType: x.pt, SequenceNumber: x.seq, Timestamp: x.ts, SSRC: x.ssrc, Padding: true}
	x.seq++
	x.p.rtp(must((&prtp.Packet{Header: h, PaddingSize: 200}).Marshal()))
}

func TestProbesAreLeftOut(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	x.frame(true)
	var lost []byte
	for i := range 40 {
		switch {
		case i == 20:
			lost = x.packet(vp8Inter, true)
			x.ts += 3000
		case i%3 == 1 || i%7 == 5:
			x.probe()
		default:
			x.frame(false)
		}
		r.run(time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	gaps := 0
	for i := range got[1:] {
		gaps += int(got[i+1].SequenceNumber - got[i].SequenceNumber - 1)
	}
	if gaps != 1 {
		t.Fatalf("%d numbers free for one lost packet: %v", gaps, seqs(got))
	}
	x.p.rtp(lost)
	r.run(time.Millisecond)
	if n := len(v.rtpGot(s.SSRC)); n != len(got)+1 {
		t.Fatal("repair not forwarded")
	}
	// The map from outgoing numbers back survives the many small shifts.
	want := got[len(got)-6]
	v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: want.SequenceNumber}}})
	r.run(time.Millisecond)
	if re := v.rtpGot(s.RTXSSRC); len(re) != 1 || re[0].Timestamp != want.Timestamp {
		t.Fatalf("RTX %v", re)
	}
}

func TestFormatTheReceiverLacksIsLeftOut(t *testing.T) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Audio)
	m.Sections[0].Recv.Codecs = append(m.Sections[0].Recv.Codecs, plane.Codec{Name: "telephone-event", PT: 101, ClockRate: 48000})
	x := r.join(0, m).publish("0", plane.Audio, 1)
	v := r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 20 {
		x.pt = pubOpus.PT
		if i%5 == 4 {
			x.pt = 101
		}
		x.send([]byte{1}, false)
		r.run(20 * time.Millisecond)
	}
	got := v.rtpGot(0)
	if len(got) != 16 || got[15].SequenceNumber != got[0].SequenceNumber+15 || got[0].SSRC != s.SSRC {
		t.Fatalf("%v", seqs(got))
	}
}

func TestMIDUntilAcknowledged(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 1)
	v := r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x, plane.Subscription{})
	mid := func() string {
		v.clear()
		x.send([]byte{1}, false)
		r.run(time.Millisecond)
		return string(v.rtpGot(s.SSRC)[0].GetExtension(subExts[plane.ExtMID]))
	}
	if m := mid(); m != "s0" {
		t.Fatalf("first: %q", m)
	}
	v.rtcp(&prtcp.ReceiverReport{SSRC: 77, Reports: []prtcp.ReceptionReport{{SSRC: s.SSRC}}})
	if m := mid(); m != "" {
		t.Fatalf("after a report: %q", m)
	}
}

func TestCrossingDoesNotAllocate(t *testing.T) {
	r := newRoom(t, 2)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	var subs []*peer
	for range 10 {
		v := r.subscriber(1, 1, plane.Video)
		v.subscribe(x, plane.Subscription{})
		subs = append(subs, v)
	}
	x.frame(true)
	r.run(time.Millisecond)
	x.frame(true)
	r.run(time.Millisecond)
	b := x.packet(append(append([]byte(nil), vp8Inter...), make([]byte, 1000)...), false)
	now, sent := r.now, 0
	turn := func() {
		now = now.Add(clockStep)
		for range 6 {
			b[2], b[3] = byte(x.seq>>8), byte(x.seq)
			x.seq++
			buf := r.pool.Get()
			buf.N = copy(buf.B[:], b)
			r.shards[0].HandleRTP(now, x.p.leg, buf, &r.outs[0])
			buf.Release()
		}
		for i, e := range r.shards {
			o := &r.outs[i]
			e.Flush(now, o)
			e.Tick(now, o)
			for _, c := range o.Cross {
				r.shards[c.To].HandleCross(now, c, &r.outs[c.To])
			}
			o.Cross = o.Cross[:0]
			for k := range o.Batch.Sends {
				if !o.Batch.Sends[k].RTCP {
					sent++
				}
			}
			o.Batch.Reset()
		}
	}
	for range 200 {
		turn()
	}
	sent = 0
	if n := testing.AllocsPerRun(300, turn); n != 0 {
		t.Errorf("%v allocations per turn", n)
	}
	if sent < 300*6*len(subs) {
		t.Errorf("%d packets sent", sent)
	}
}

const clockStep = 5 * time.Millisecond
