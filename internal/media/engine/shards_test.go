package engine_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

// TestTwoShards: one room over two workers; nothing is missing or doubled, and
// repairs and keyframe requests work across.
func TestTwoShards(t *testing.T) {
	r := newRoom(t, 2)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	here, there := r.subscriber(0, 1, plane.Video), r.subscriber(1, 1, plane.Video)
	a, b := here.subscribe(x, plane.Subscription{}), there.subscribe(x, plane.Subscription{})
	const n = 10_000
	for i := range n {
		body := binary.BigEndian.AppendUint32(bytes.Clone(map[bool][]byte{true: vp8Key, false: vp8Inter}[i%1000 == 0]), uint32(i))
		x.send(body, true)
		x.ts += 30
		if i%5 == 4 {
			r.run(time.Millisecond)
		}
	}
	for p, ssrc := range map[*peer]uint32{here: a.SSRC, there: b.SSRC} {
		got := p.rtpGot(ssrc)
		if len(got) != n {
			t.Fatalf("%d of %d", len(got), n)
		}
		for i, q := range got {
			if q.SequenceNumber != got[0].SequenceNumber+uint16(i) || binary.BigEndian.Uint32(q.Payload[len(q.Payload)-4:]) != uint32(i) {
				t.Fatalf("packet %d", i)
			}
		}
	}
	// NACK of the far receiver: served there, nothing goes up.
	got := there.rtpGot(b.SSRC)
	there.clear()
	x.p.clear()
	there.rtcp(&prtcp.TransportLayerNack{MediaSSRC: b.SSRC, Nacks: []prtcp.NackPair{{PacketID: got[n-9].SequenceNumber, LostPackets: 1}}})
	r.run(time.Millisecond)
	if re := there.rtpGot(b.RTXSSRC); len(re) != 2 || !bytes.Equal(re[0].Payload[2:], got[n-9].Payload) {
		t.Fatalf("RTX %v", re)
	}
	if len(rtcpGot[*prtcp.TransportLayerNack](x.p)) != 0 {
		t.Fatal("NACK went up")
	}
	// PLIs from both shards: one up.
	r.run(3 * time.Second)
	x.p.clear()
	for range 3 {
		there.rtcp(&prtcp.PictureLossIndication{MediaSSRC: b.SSRC})
		here.rtcp(&prtcp.PictureLossIndication{MediaSSRC: a.SSRC})
	}
	r.run(10 * time.Millisecond)
	if k := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); k != 1 {
		t.Fatalf("%d PLI up", k)
	}
	// The publisher goes: everything comes back.
	for i := range r.shards {
		r.shards[i].RemoveTrack(r.now, x.id, &r.outs[i])
	}
	r.run(time.Second)
	if len(rtcpGot[*prtcp.Goodbye](there)) != 1 || r.pool.Live() != 0 {
		t.Fatalf("BYE %v, %d buffers live", rtcpGot[*prtcp.Goodbye](there), r.pool.Live())
	}
}

func TestTwoShards_SenderReportsShareTheClock(t *testing.T) {
	r := newRoom(t, 2)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	here, there := r.subscriber(0, 1, plane.Video), r.subscriber(1, 1, plane.Video)
	a, b := here.subscribe(x, plane.Subscription{}), there.subscribe(x, plane.Subscription{})
	for i := range 120 {
		if i%30 == 10 {
			x.p.rtcp(&prtcp.SenderReport{SSRC: 1, NTPTime: anchor.NTP(r.now) + 5<<32, RTPTime: x.ts + 123})
		}
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	line := func(p *peer, ssrc uint32) uint32 { // RTP time at a fixed NTP time, as timestamp offset of the source
		off := p.rtpGot(ssrc)[0].Timestamp
		srs := rtcpGot[*prtcp.SenderReport](p)
		s := srs[len(srs)-1]
		return s.RTPTime - off - uint32(float64(s.NTPTime-anchor.NTP(anchor.Mono))/(1<<32)*90000)
	}
	if d := int32(line(here, a.SSRC) - line(there, b.SSRC)); d > 9 || d < -9 {
		t.Fatalf("the two shards' reports differ by %d ticks", d)
	}
}

// TestSeededLoss: both hops lose packets; NACK and RTX repair both.
func TestSeededLoss(t *testing.T) {
	const seed = 42
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 7))
	r := newRoom(t, 2)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(1, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	const n, loss = 3000, 0.03
	sentUp := map[uint16][]byte{}
	rtx := &pub{p: x.p, track: x.track, ssrc: 2, seq: 7, pt: pubVP8.RTX, tw: x.tw}
	have := map[uint32]bool{}
	var high uint16
	missing := map[uint16]bool{}
	started := false
	type up struct {
		at int
		b  []byte
	}
	var queue []up
	step := 0
	// The last packets pass: nothing follows them that would show their loss.
	lose := func() bool { return step < n-20 && rnd.Float64() < loss }
	r.deliver = func(p *peer, q sent) {
		switch {
		case p == x.p && q.rtcp:
			for _, k := range must(prtcp.Unmarshal(q.b)) {
				if nk, ok := k.(*prtcp.TransportLayerNack); ok {
					for _, pair := range nk.Nacks {
						for _, id := range pair.PacketList() {
							body := append([]byte{byte(id >> 8), byte(id)}, sentUp[id]...)
							queue = append(queue, up{step + 4, body})
						}
					}
				}
			}
		case p == v && !q.rtcp && !lose():
			var k prtp.Packet
			if err := k.Unmarshal(q.b); err != nil {
				t.Error(err)
			}
			id, body := k.SequenceNumber, k.Payload
			if k.SSRC == s.RTXSSRC {
				id, body = uint16(body[0])<<8|uint16(body[1]), body[2:]
			} else if !started {
				started, high = true, id
			}
			for ; int16(id-high) > 0; high++ {
				missing[high+1] = true
			}
			delete(missing, id)
			have[binary.BigEndian.Uint32(body[len(body)-4:])] = true
		}
	}
	for ; step < n+200; step++ {
		if step < n {
			body := binary.BigEndian.AppendUint32(bytes.Clone(map[bool][]byte{true: vp8Key, false: vp8Inter}[step == 0]), uint32(step))
			id := x.seq
			sentUp[id] = body
			b := x.packet(body, true)
			x.ts += 450
			if step == 0 || !lose() {
				x.p.rtp(b)
			}
		}
		for len(queue) > 0 && queue[0].at <= step {
			if b := rtx.packet(queue[0].b, true); !lose() {
				x.p.rtp(b)
			}
			queue = queue[1:]
		}
		if step%8 == 7 && len(missing) > 0 {
			var pairs []prtcp.NackPair
			for id := range missing {
				pairs = append(pairs, prtcp.NackPair{PacketID: id})
			}
			v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: pairs})
		}
		r.run(5 * time.Millisecond)
	}
	if lost := n - len(have); lost > 0 {
		t.Fatalf("%d of %d packets lost for good at %.0f %% on each hop", lost, n, loss*100)
	}
}

func TestSlotSwitch(t *testing.T) { // SWX-1 to SWX-4, SWX-9
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video).publish("0", plane.Video, 0xA)
	b := r.publisher(0, plane.Video).publish("0", plane.Video, 0xB)
	b.seq, b.ts = 60000, 0xF0000000
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(a, plane.Subscription{Slot: true})
	vp8 := func(x *pub, key bool) {
		p := byte(1)
		if key {
			p = 0
		}
		x.send([]byte{0x90, 0xC0, 0x80 | byte(x.picture>>8), byte(x.picture), byte(x.picture), p, 1, 2}, true)
		x.picture++
		x.ts += 3000
	}
	a.picture, b.picture = 100, 9000
	both := func(n, key int) {
		for i := range n {
			vp8(a, i == key)
			vp8(b, i == key)
			r.run(time.Second / 30)
		}
	}
	both(10, 0)
	cur := b
	for range 100 {
		r.run(0)
		cur.p.clear()
		v.subscribe(cur, s)
		r.run(time.Millisecond)
		both(6, -1)
		both(6, 3)
		if n := len(rtcpGot[*prtcp.PictureLossIndication](cur.p)); n > 1 {
			t.Fatalf("%d keyframe requests", n)
		}
		if cur == b {
			cur = a
		} else {
			cur = b
		}
	}
	got := v.rtpGot(s.SSRC)
	// In half the switches the old source's packet of that instant came first.
	if len(got) != 10+1200+50 {
		t.Fatalf("%d packets", len(got))
	}
	switches := 0
	for i, q := range got[1:] {
		p := got[i]
		if q.SequenceNumber != p.SequenceNumber+1 {
			t.Fatalf("seq at %d", i)
		}
		if d := q.Timestamp - p.Timestamp; d == 0 || d > 3300 {
			t.Fatalf("timestamp +%d at %d", d, i)
		}
		pic := func(p *prtp.Packet) uint16 { return binary.BigEndian.Uint16(p.Payload[2:]) & 0x7fff }
		if pic(q) != (pic(p)+1)&0x7fff || q.Payload[4] != p.Payload[4]+1 {
			t.Fatalf("picture ids at %d: %d %d", i, pic(p), pic(q))
		}
		if len(q.CSRC) != 1 {
			t.Fatal("no CSRC")
		}
		if q.CSRC[0] != p.CSRC[0] {
			switches++
			if q.Payload[5] != 0 {
				t.Fatal("switched without keyframe")
			}
		}
	}
	if switches != 100 {
		t.Fatalf("%d switches", switches)
	}
	v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: got[len(got)-15].SequenceNumber}}})
	r.run(time.Millisecond)
	if re := v.rtpGot(s.RTXSSRC); len(re) != 1 || !bytes.Equal(re[0].Payload[2:], got[len(got)-15].Payload) || re[0].CSRC[0] != got[len(got)-15].CSRC[0] {
		t.Fatalf("RTX over the switch: %v", re)
	}
}

func TestD9_HostileReceiver(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v, w := r.subscriber(0, 1, plane.Video), r.subscriber(0, 1, plane.Video)
	s, sw := v.subscribe(x, plane.Subscription{}), w.subscribe(x, plane.Subscription{})
	var media int
	for i := range 1000 {
		b := append(bytes.Clone(map[bool][]byte{true: vp8Key, false: vp8Inter}[i == 0]), make([]byte, 1000)...)
		x.send(b, true)
		x.ts += 900
		media += len(b)
		for range 5 {
			v.rtcp(&prtcp.PictureLossIndication{MediaSSRC: s.SSRC}, &prtcp.FullIntraRequest{FIR: []prtcp.FIREntry{{SSRC: s.SSRC, SequenceNumber: uint8(i)}}},
				&prtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 0, SSRCs: []uint32{s.SSRC}})
		}
		last := v.rtpGot(s.SSRC)
		var pairs []prtcp.NackPair
		for k := range min(10, 10*len(last)) {
			pairs = append(pairs, prtcp.NackPair{PacketID: last[len(last)-1].SequenceNumber - uint16(17*k), LostPackets: 0xffff})
		}
		v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: pairs})
		if len(v.got) > 400 {
			v.got = v.got[200:]
		}
		r.run(10 * time.Millisecond)
	}
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n > 8 {
		t.Errorf("%d keyframe requests in 10 s", n)
	}
	var st plane.LinkStats
	r.shards[0].LegStats(v.leg, &st)
	if extra := int(st.BytesOut) - 1000*1040; extra > media {
		t.Errorf("%d bytes of retransmissions for %d of media", extra, media)
	}
	if n := len(w.rtpGot(sw.SSRC)); n != 1000 {
		t.Errorf("the other receiver got %d", n)
	}
}

func TestD10_HostilePublisher(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	v.subscribe(x, plane.Subscription{})
	rnd := rand.New(rand.NewPCG(1, 10))
	for i := range 20000 {
		x.ssrc = uint32(i % 1000)
		x.seq = uint16(rnd.Uint32())
		x.pt = uint8(rnd.IntN(128))
		x.track.MID = []string{"0", "1", "xyz"}[rnd.IntN(3)]
		b := x.packet(vp8Key, true)
		if rnd.IntN(4) == 0 {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
		}
		if rnd.IntN(8) == 0 {
			b[0] |= 0x20
		}
		if len(b) > 0 {
			x.p.rtp(b)
		}
		if i%50 == 0 {
			r.run(10 * time.Millisecond)
		}
	}
	r.run(2 * time.Second)
	if live := r.pool.Live(); live > 700 {
		t.Errorf("%d buffers held", live)
	}
	d := r.shards[0].(*engine.Engine).Drops()
	if d.TooManyStreams == 0 || d.Malformed == 0 {
		t.Errorf("drops %+v", d)
	}
}

func TestPacketsWaitForTheirTrack(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video)
	x := &pub{p: p, track: plane.Track{MID: "0"}, ssrc: 1, seq: 1, pt: pubVP8.PT, tw: new(uint16)}
	for i := range 5 {
		x.frame(i == 0)
	}
	r.run(100 * time.Millisecond)
	y := p.publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(y, plane.Subscription{})
	r.run(time.Millisecond)
	if got := v.rtpGot(s.SSRC); len(got) != 5 {
		t.Fatalf("%d packets", len(got))
	}
	live := 0
	for _, e := range r.events {
		if e.Kind == plane.TrackLive && e.Track == y.track.Track && e.SSRC == 1 {
			live++
		}
	}
	if live != 1 {
		t.Fatalf("%d TrackLive", live)
	}
	// Unclaimed ones go after half a second.
	q := r.publisher(0, plane.Video)
	z := &pub{p: q, track: plane.Track{MID: "0"}, ssrc: 1, seq: 1, pt: pubVP8.PT, tw: new(uint16)}
	base := r.pool.Live()
	for range 100 {
		z.frame(true)
	}
	if n := r.pool.Live() - base; n != 64 {
		t.Fatalf("%d held", n)
	}
	r.run(600 * time.Millisecond)
	if n := r.pool.Live() - base; n != 0 {
		t.Fatalf("%d held after the time", n)
	}
}

func TestSpeakersChanged(t *testing.T) {
	r := newRoom(t, 2)
	a := r.publisher(0, plane.Audio).publish("0", plane.Audio, 1)
	b := r.publisher(1, plane.Audio).publish("0", plane.Audio, 1)
	r.subscriber(0, 1, plane.Audio).subscribe(b, plane.Subscription{})
	r.subscriber(1, 1, plane.Audio).subscribe(a, plane.Subscription{})
	talk := func(la, lb byte) {
		a.ext, b.ext = map[uint8][]byte{4: {la}}, map[uint8][]byte{4: {lb}}
		for range 200 {
			a.send([]byte{1}, false)
			b.send([]byte{1}, false)
			r.run(20 * time.Millisecond)
		}
	}
	talk(30, 120)
	talk(120, 30)
	var order []ids.Track
	for _, e := range r.events {
		if e.Kind == plane.SpeakersChanged && len(e.Speakers) > 0 {
			order = append(order, e.Speakers[0].Track)
		}
	}
	if len(order) < 2 || order[0] != a.track.Track || order[len(order)-1] != b.track.Track || len(order) > 6 {
		t.Fatalf("%v", order)
	}
}

func TestMuteLeavesNoGap(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 1)
	v := r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 30 {
		if i == 10 || i == 20 {
			r.shards[0].MuteTrack(r.now, x.id, i == 10)
		}
		x.send([]byte{byte(i)}, false)
		x.ts += 960
		r.run(20 * time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 20 || got[10].SequenceNumber != got[9].SequenceNumber+1 || got[10].Payload[0] != 20 || got[10].Timestamp-got[9].Timestamp != 11*960 {
		t.Fatalf("%v", got)
	}
}

func TestPublisherSSRCChange(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 10 {
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	x.p.rtcp(&prtcp.Goodbye{Sources: []uint32{1}})
	x.ssrc, x.seq, x.ts = 99, 5, 0xFFFFFF00
	for i := range 10 {
		x.frame(i == 2)
		r.run(time.Second / 30)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 18 {
		t.Fatalf("%d packets", len(got))
	}
	for i := range got[1:] {
		if d := got[i+1].Timestamp - got[i].Timestamp; got[i+1].SequenceNumber != got[i].SequenceNumber+1 || d == 0 || d > 5*3000 {
			t.Fatalf("not continuous at %d: +%d", i, d)
		}
	}
	r.run(5 * time.Second)
	for _, e := range r.events {
		if e.Kind == plane.TrackEnded {
			t.Fatal("ended though it came back")
		}
	}
	x.p.rtcp(&prtcp.Goodbye{Sources: []uint32{99}})
	r.run(5 * time.Second)
	if e := r.events[len(r.events)-1]; e.Kind != plane.TrackEnded || e.Track != x.track.Track {
		t.Fatalf("%v", r.events)
	}
}

func TestFeedbackToPublisher(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	for i := range 500 {
		x.frame(i == 0)
		r.run(2 * time.Millisecond)
	}
	seen := map[uint16]bool{}
	n := 0
	for _, f := range rtcpGot[*prtcp.TransportLayerCC](x.p) {
		n++
		for i := range f.PacketStatusCount {
			seen[f.BaseSequenceNumber+i] = true
		}
	}
	if n < 10 || n > 25 || len(seen) < 450 {
		t.Fatalf("%d messages about %d packets in a second", n, len(seen))
	}
	// One who knows REMB only gets that, and it grows.
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.Codecs[0].TWCC = false
	p := r.join(0, m)
	y := p.publish("0", plane.Video, 1)
	for i := range 1000 {
		y.frame(i == 0)
		r.run(20 * time.Millisecond)
	}
	rembs := rtcpGot[*prtcp.ReceiverEstimatedMaximumBitrate](p)
	if len(rembs) < 15 || len(rtcpGot[*prtcp.TransportLayerCC](p)) != 0 || rembs[len(rembs)-1].Bitrate < 2*rembs[0].Bitrate {
		t.Fatalf("%v", rembs)
	}
}
