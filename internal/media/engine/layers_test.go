package engine_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// simulcast publishes two encodings, told apart by RID or by SSRC, from shard 0.
func simulcast(r *room, byRID bool) (lo, hi *pub) {
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.Layers = []plane.Layer{{SSRC: 0xA0, RTXSSRC: 0xB0}, {SSRC: 0xA1, RTXSSRC: 0xB1}}
	if byRID {
		m.Sections[0].Recv.Layers = []plane.Layer{{RID: "l"}, {RID: "h"}}
	}
	hi = r.join(0, m).publish("0", plane.Video, 0xA1)
	l := *hi
	lo = &l
	lo.ssrc, lo.seq, lo.ts = 0xA0, 40000, 0xFFFFF000
	if byRID {
		lo.ext = map[uint8][]byte{pubExts[plane.ExtRID]: []byte("l")}
		hi.ext = map[uint8][]byte{pubExts[plane.ExtRID]: []byte("h")}
	} else {
		lo.noMID, hi.noMID = true, true
	}
	return lo, hi
}

// asked reports whether a publisher was asked for a keyframe since.
func asked(x *pub, from int) bool {
	for _, s := range x.p.got[from:] {
		if !s.rtcp {
			continue
		}
		for _, q := range must(prtcp.Unmarshal(s.b)) {
			if p, ok := q.(*prtcp.PictureLossIndication); ok && p.MediaSSRC == x.ssrc {
				return true
			}
		}
	}
	return false
}

func TestLayersComeAndGo(t *testing.T) {
	for _, c := range []struct {
		byRID  bool
		shards int
	}{{true, 1}, {false, 1}, {true, 2}} {
		r := newRoom(t, c.shards)
		lo, hi := simulcast(r, c.byRID)
		v := r.subscriber(c.shards-1, 1, plane.Video)
		s := v.subscribe(hi, plane.Subscription{})
		seen := 0
		play := func(n int, both bool) (low, high int) {
			have := len(v.rtpGot(s.SSRC))
			for range n {
				kl, kh := asked(lo, seen), asked(hi, seen)
				seen = len(lo.p.got)
				lo.send(append(map[bool][]byte{true: vp8Key, false: vp8Inter}[kl || lo.seq == 40000], 'l'), true)
				lo.ts += 3000
				if both {
					hi.send(append(map[bool][]byte{true: vp8Key, false: vp8Inter}[kh || hi.seq == 1000], 'h'), true)
				}
				hi.ts += 3000
				r.run(time.Second / 30)
			}
			for _, q := range v.rtpGot(s.SSRC)[have:] {
				if q.Payload[len(q.Payload)-1] == 'h' {
					high++
				} else {
					low++
				}
			}
			return low, high
		}
		play(30, true)
		if low, high := play(60, true); high < 59 || low > 1 {
			t.Fatalf("%+v: the best layer is not forwarded: %d low, %d high", c, low, high)
		}
		if low, _ := play(90, false); low < 30 {
			t.Fatalf("%+v: no fall back: %d low", c, low)
		}
		if _, high := play(90, true); high < 60 {
			t.Fatalf("%+v: not back up: %d high", c, high)
		}
		all := v.rtpGot(0)
		for i := range all[1:] {
			if all[i+1].SSRC != s.SSRC || all[i+1].SequenceNumber != all[i].SequenceNumber+1 || int32(all[i+1].Timestamp-all[i].Timestamp) <= 0 {
				t.Fatalf("%+v: not one line at %d", c, i)
			}
		}
	}
}

// TestSlotRunsOnWithDependencyDescriptor: SWX-9 for AV1.
func TestSlotRunsOnWithDependencyDescriptor(t *testing.T) {
	r := newRoom(t, 1)
	av1 := plane.Codec{Name: "AV1", PT: 45, RTX: 46, ClockRate: 90000, NACK: true, PLI: true}
	exts := pubExts
	exts[plane.ExtDependency] = 12
	mk := func(ssrc uint32) *pub {
		m := plane.LegMedia{Sections: []plane.Section{{MID: "0", Kind: plane.Video, Exts: exts, Recv: &plane.Recv{Codecs: []plane.Codec{av1}}}}}
		x := r.join(0, m).publish("0", plane.Video, ssrc)
		x.pt = 45
		return x
	}
	a, b := mk(1), mk(2)
	outExts := subExts
	outExts[plane.ExtDependency] = 13
	v := r.join(0, plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: outExts, Send: &plane.Send{Codecs: []plane.Codec{av1}}}}})
	s := v.subscribe(a, plane.Subscription{Slot: true})
	frame := func(x *pub, key bool) {
		x.ext = map[uint8][]byte{12: binary.BigEndian.AppendUint16([]byte{0xC0}, x.picture)}
		x.picture++
		p := []byte{0x10, 0x30, 1}
		if key {
			p = []byte{0x18, 0x0A, 1}
		}
		x.send(p, true)
		x.ts += 3000
		r.run(time.Second / 30)
	}
	a.picture, b.picture = 50000, 65530
	for i := range 10 {
		frame(a, i == 0)
	}
	v.subscribe(b, s)
	for i := range 10 {
		frame(b, i == 2)
	}
	v.subscribe(a, s)
	for i := range 10 {
		frame(a, i == 0)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 28 {
		t.Fatalf("%d packets", len(got))
	}
	num := func(p *prtp.Packet) uint16 { return binary.BigEndian.Uint16(p.GetExtension(13)[1:]) }
	for i := range got[1:] {
		if num(got[i+1]) != num(got[i])+1 {
			t.Fatalf("frame %d after %d at %d", num(got[i+1]), num(got[i]), i)
		}
	}
}

// TestPausedLayerComesBackUnnamed: browsers name RID only at first.
func TestPausedLayerComesBackUnnamed(t *testing.T) {
	r := newRoom(t, 1)
	lo, hi := simulcast(r, true)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(hi, plane.Subscription{})
	lo.frame(true)
	hi.frame(true)
	lo.ext, hi.ext, lo.noMID, hi.noMID = nil, nil, true, true
	for i := range 40 * 30 { // the high layer pauses for 40 s
		lo.frame(i%30 == 0)
		r.run(time.Second / 30)
	}
	for i := range 90 {
		lo.frame(false)
		hi.send(append(map[bool][]byte{true: vp8Key, false: vp8Inter}[i%30 == 29], 'h'), true)
		hi.ts += 3000
		r.run(time.Second / 30)
	}
	got := v.rtpGot(s.SSRC)
	if q := got[len(got)-1]; q.Payload[len(q.Payload)-1] != 'h' {
		t.Fatal("the layer did not come back")
	}
}

// TestRenegotiationMovesSections: a section before ours goes; streams stay bound.
func TestRenegotiationMovesSections(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video, plane.Video)
	x := p.publish("1", plane.Video, 7)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	x.frame(true)
	r.run(time.Millisecond)
	m := p.media
	m.Sections = m.Sections[1:]
	r.shards[0].ConfigureLeg(r.now, p.leg, m)
	x.noMID = true
	for range 10 {
		x.frame(false)
		r.run(time.Millisecond)
	}
	if got := v.rtpGot(s.SSRC); len(got) != 11 || got[10].SequenceNumber != got[0].SequenceNumber+10 {
		t.Fatalf("%v", seqs(got))
	}
}

// TestLastPacketsOfAClosedSection carry no MID any more and a payload type that
// only one open section is left for: they must not push that section's own
// stream aside, with or without a BYE before them.
func TestLastPacketsOfAClosedSection(t *testing.T) {
	for _, bye := range []bool{false, true} {
		r := newRoom(t, 1)
		p := r.publisher(0, plane.Video, plane.Video)
		camera, screen := p.publish("0", plane.Video, 7), p.publish("1", plane.Video, 8)
		v := r.subscriber(0, 1, plane.Video)
		s := v.subscribe(camera, plane.Subscription{})
		camera.frame(true)
		screen.frame(true)
		r.run(time.Millisecond)
		camera.noMID, screen.noMID = true, true
		r.shards[0].RemoveTrack(r.now, screen.id, &r.outs[0])
		m := p.media
		m.Sections = append([]plane.Section(nil), m.Sections...)
		m.Sections[1].Recv = nil
		r.shards[0].ConfigureLeg(r.now, p.leg, m)
		if bye {
			r.shards[0].HandleRTCP(r.now, p.leg, rtcp.AppendBYE(rtcp.AppendRR(nil, 1, nil), screen.ssrc), &r.outs[0])
		}
		for range 10 {
			screen.frame(false)
			camera.frame(false)
			r.run(time.Millisecond)
		}
		if got := v.rtpGot(s.SSRC); len(got) != 11 || got[10].SequenceNumber != got[0].SequenceNumber+10 {
			t.Errorf("bye %v: %v", bye, seqs(got))
		}
	}
}

func TestIdleReceiverIsSmall(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	const n = 1000
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	for range n {
		r.subscriber(0, 1, plane.Video).subscribe(x, plane.Subscription{})
	}
	r.run(0)
	runtime.ReadMemStats(&b)
	if per := (b.TotalAlloc - a.TotalAlloc) / n; per > 8<<10 {
		t.Errorf("%d bytes allocated for an idle receiver", per)
	} else {
		t.Logf("%d bytes", per)
	}
}

// TestSlotRunsOnAfterItsSourceLeft: the last ids are kept when the history goes.
func TestSlotRunsOnAfterItsSourceLeft(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	b := r.publisher(0, plane.Video).publish("0", plane.Video, 2)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(a, plane.Subscription{Slot: true})
	send := func(x *pub, key byte) {
		x.send([]byte{0x90, 0xC0, 0x80 | byte(x.picture>>8), byte(x.picture), byte(x.picture), key, 1, 2}, true)
		x.picture++
		x.ts += 3000
		r.run(time.Second / 30)
	}
	a.picture, b.picture = 20000, 3
	for i := range 5 {
		send(a, byte(min(i, 1)))
	}
	r.shards[0].RemoveTrack(r.now, a.id, &r.outs[0])
	r.run(10 * time.Second)
	v.subscribe(b, s)
	for i := range 5 {
		send(b, byte(min(i, 1)))
	}
	got := v.rtpGot(s.SSRC)
	// The source says goodbye as what it was on this leg, a contributor (SWX).
	g := rtcpGot[*prtcp.Goodbye](v)
	if len(got) != 10 || len(g) != 1 || len(g[0].Sources) != 1 || g[0].Sources[0] != a.track.SrcID {
		t.Fatalf("%d packets, %v", len(got), g)
	}
	for i, q := range got {
		if pic := binary.BigEndian.Uint16(q.Payload[2:]) & 0x7fff; pic != uint16(20000+i) || q.SequenceNumber != got[0].SequenceNumber+uint16(i) {
			t.Fatalf("picture %d at %d", pic, i)
		}
	}
	if d := got[5].Timestamp - got[4].Timestamp; d < 900_000 || d > 910_000 {
		t.Fatalf("timestamp +%d over ten seconds", d)
	}
}

func TestHistoryForgetsTheOld(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	for i := range 300 { // 10 s
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	if n := r.pool.Live(); n < 30 || n > 40 {
		t.Fatalf("%d packets kept of 30 a second", n)
	}
}

// TestNoKeyframesForWhoCannotUseThem: a receiver without the codec, or whose
// section is not open, must not make the publisher send keyframes (A23).
func TestNoKeyframesForWhoCannotUseThem(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	h264 := plane.Codec{Name: "H264", PT: 102, ClockRate: 90000, NACK: true, PLI: true}
	v := r.join(0, plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{h264}}}}})
	w := r.join(0, plane.LegMedia{})
	for i := range 30 {
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	v.subscribe(x, plane.Subscription{})
	s := w.subscribe(x, plane.Subscription{})
	for range 300 {
		x.frame(false)
		r.run(time.Second / 30)
	}
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n != 0 {
		t.Fatalf("%d keyframe requests", n)
	}
	// The section opens: one request, and pictures.
	m := plane.LegMedia{CNAME: "c", Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}}}}
	r.shards[0].ConfigureLeg(r.now, w.leg, m)
	r.run(10 * time.Millisecond)
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n != 1 {
		t.Fatalf("%d keyframe requests after opening", n)
	}
	x.frame(true)
	r.run(time.Millisecond)
	if len(w.rtpGot(s.SSRC)) != 1 {
		t.Fatal("no picture")
	}
}
