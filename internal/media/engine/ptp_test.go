package engine_test

import (
	"bytes"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
)

func TestPTP1_ReportOfLossOverTheWrap(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 0xB0000001)
	x.seq = 65500
	for range 100 {
		b := x.packet([]byte{1}, false)
		x.ts += 960
		if s := x.seq - 1; s != 65510 && s != 10 {
			x.p.rtp(b)
		}
	}
	r.run(3 * time.Second)
	var blocks []prtcp.ReceptionReport
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](x.p) {
		blocks = append(blocks, rr.Reports...)
	}
	if len(blocks) != 1 {
		t.Fatalf("%v", blocks)
	}
	if b := blocks[0]; b.SSRC != 0xB0000001 || b.LastSequenceNumber != 1<<16|63 || b.TotalLost != 2 || b.FractionLost != 5 {
		t.Fatalf("%+v", b)
	}
}

func TestPTP2_RoundTripArithmetic(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Audio)
	x := p.publish("0", plane.Audio, 1)
	talk := func(d time.Duration) {
		for end := r.now.Add(d); r.now < end; {
			x.send([]byte{1}, false)
			x.ts += 960
			r.run(20 * time.Millisecond)
		}
	}
	talk(3 * time.Second)
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
		for _, b := range rr.Reports {
			if b.LastSenderReport != 0 || b.Delay != 0 {
				t.Fatalf("LSR before any SR: %+v", b)
			}
		}
	}
	const ntp = 0x0102030405060708
	p.rtcp(&prtcp.SenderReport{SSRC: 1, NTPTime: ntp, RTPTime: x.ts})
	sr := r.now
	p.clear()
	talk(3 * time.Second)
	n := 0
	for _, s := range p.got {
		if !s.rtcp {
			continue
		}
		for _, q := range must(prtcp.Unmarshal(s.b)) {
			rr, ok := q.(*prtcp.ReceiverReport)
			if !ok || len(rr.Reports) == 0 {
				continue
			}
			n++
			b := rr.Reports[0]
			want := float64(s.at.Sub(sr)) * 65536 / 1e9
			if b.LastSenderReport != 0x03040506 || float64(b.Delay)-want > 131 || want-float64(b.Delay) > 131 {
				t.Fatalf("LSR %x DLSR %d want %f", b.LastSenderReport, b.Delay, want)
			}
		}
	}
	if n == 0 {
		t.Fatal("no report")
	}
	// The other way: our SR answered after 30 ms, 40 ms of them on the wire.
	v := r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x, plane.Subscription{})
	talk(2 * time.Second)
	srs := rtcpGot[*prtcp.SenderReport](v)
	if len(srs) == 0 {
		t.Fatal("no SR")
	}
	last := v.got[0]
	for _, g := range v.got {
		if g.rtcp && bytes.Contains(g.b[:2], []byte{200}) {
			last = g
		}
	}
	q := must(prtcp.Unmarshal(last.b))[0].(*prtcp.SenderReport)
	if want := anchor.NTP(last.at); q.NTPTime != want {
		t.Fatalf("SR's NTP %x, sent at %x", q.NTPTime, want)
	}
	delay := r.now.Sub(last.at) - 40*time.Millisecond
	v.rtcp(&prtcp.ReceiverReport{SSRC: 77, Reports: []prtcp.ReceptionReport{{SSRC: s.SSRC, LastSenderReport: uint32(q.NTPTime >> 16), Delay: uint32(int64(delay) * 65536 / 1e9)}}})
	var st plane.LinkStats
	r.shards[0].LegStats(v.leg, &st)
	if d := st.RTT - 40*time.Millisecond; d > time.Millisecond || d < -time.Millisecond {
		t.Fatalf("RTT %v", st.RTT)
	}
}

// compounds checks what every compound must look like and returns how many there were.
func compounds(t *testing.T, p *peer, rsize bool) (n int) {
	t.Helper()
	for _, s := range p.got {
		if !s.rtcp {
			continue
		}
		n++
		ps := must(prtcp.Unmarshal(s.b))
		cname := false
		for _, q := range ps {
			if d, ok := q.(*prtcp.SourceDescription); ok {
				cname = cname || d.Chunks[0].Items[0].Type == prtcp.SDESCNAME && d.Chunks[0].Items[0].Text != ""
			}
		}
		first := s.b[1] == 200 || s.b[1] == 201
		if !rsize && (!first || !cname) {
			t.Fatalf("compound without SR/RR or CNAME: %v", ps)
		}
		if rsize && first && !cname {
			t.Fatalf("regular compound without CNAME: %v", ps)
		}
	}
	return n
}

func TestPTP3_CompoundsAndCNAME(t *testing.T) {
	for _, rsize := range []bool{false, true} {
		r := newRoom(t, 1)
		m := pubMedia(plane.Video, plane.Audio)
		m.RTCPRsize = rsize
		p := r.join(0, m)
		x, a := p.publish("0", plane.Video, 1), p.publish("1", plane.Audio, 2)
		v := r.subscriber(0, 2, plane.Video)
		s1 := v.subscribe(x, plane.Subscription{})
		for i := range 200 {
			x.frame(i == 0)
			if i%7 == 0 {
				x.seq++ // losses, for NACKs
			}
			a.send([]byte{1}, false)
			if i%50 == 0 {
				v.rtcp(&prtcp.PictureLossIndication{MediaSSRC: s1.SSRC})
			}
			r.run(20 * time.Millisecond)
		}
		if compounds(t, p, rsize) < 20 || compounds(t, v, false) < 2 {
			t.Fatal("too few compounds")
		}
		bare := false
		for _, s := range p.got {
			bare = bare || s.rtcp && s.b[1] >= 205
		}
		if bare != rsize {
			t.Fatalf("reduced size %v, agreed %v", bare, rsize)
		}
		names := map[uint32]map[string]bool{}
		for _, d := range rtcpGot[*prtcp.SourceDescription](v) {
			for _, k := range d.Chunks {
				if names[k.Source] == nil {
					names[k.Source] = map[string]bool{}
				}
				names[k.Source][k.Items[0].Text] = true
			}
		}
		if len(names[s1.SSRC]) != 1 || !names[s1.SSRC][x.track.CNAME] {
			t.Fatalf("CNAMEs %v", names)
		}
	}
}

func TestPTP4_SilentSSRC(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Audio)
	x := p.publish("0", plane.Audio, 1)
	for range 100 {
		x.send([]byte{1}, false)
		r.run(20 * time.Millisecond)
	}
	r.run(2 * time.Second) // the interval in which the last packets came ends
	p.clear()
	silent := r.now
	r.run(20 * time.Second)
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
		if len(rr.Reports) != 0 {
			t.Fatalf("block about a silent source: %v", rr)
		}
	}
	// At 24 s it is a member still: its numbers run on and a gap counts.
	r.run(24*time.Second - 2*time.Second - r.now.Sub(silent))
	x.seq += 5
	x.send([]byte{1}, false)
	r.run(3 * time.Second)
	var b *prtcp.ReceptionReport
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
		if len(rr.Reports) > 0 {
			b = &rr.Reports[0]
		}
	}
	if b == nil || b.TotalLost != 5 {
		t.Fatalf("forgotten at 24 s: %+v", b)
	}
	// After 25 s and a report interval it is forgotten: it starts anew.
	r.run(27 * time.Second)
	p.clear()
	x.seq += 50
	x.send([]byte{1}, false)
	r.run(3 * time.Second)
	b = nil
	for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
		if len(rr.Reports) > 0 {
			b = &rr.Reports[0]
		}
	}
	if b == nil || b.TotalLost != 0 {
		t.Fatalf("not forgotten: %+v", b)
	}
}

func TestPTP5_CollisionWithOurSSRC(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 1)
	m := pubMedia(plane.Audio)
	m.Sections = append(m.Sections, plane.Section{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}})
	v := r.join(0, m)
	y := v.publish("0", plane.Audio, 0)
	s := v.subscribe(x, plane.Subscription{})
	talk := func(n int) {
		for range n {
			x.send([]byte{1}, false)
			r.run(20 * time.Millisecond)
		}
	}
	talk(10)
	y.ssrc = s.SSRC
	y.send([]byte{9}, false)
	talk(10)
	byes := rtcpGot[*prtcp.Goodbye](v)
	if len(byes) != 1 || len(byes[0].Sources) != 1 || byes[0].Sources[0] != s.SSRC {
		t.Fatalf("BYE %v", byes)
	}
	all := v.rtpGot(0)
	fresh := all[len(all)-1].SSRC
	if fresh == s.SSRC || len(v.rtpGot(fresh)) != 10 || len(v.rtpGot(s.SSRC)) != 10 {
		t.Fatalf("media did not resume under one new SSRC: %x", fresh)
	}
	for range 100 {
		y.send([]byte{9}, false)
	}
	talk(5)
	if n := len(rtcpGot[*prtcp.Goodbye](v)); n != 1 {
		t.Fatalf("%d BYEs", n)
	}
	found := false
	for _, e := range r.events {
		found = found || e.Kind == plane.SSRCChanged && e.SSRC == fresh
	}
	if !found {
		t.Fatal("no event")
	}
}

func TestPTP6_NACKBitmap(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 20 {
		x.send(append(bytes.Clone(map[bool][]byte{true: vp8Key, false: vp8Inter}[i == 0]), byte(i)), true)
		r.run(time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	base := got[4].SequenceNumber
	ask := func() {
		v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: base, LostPackets: 0b101}}})
		r.run(time.Millisecond)
	}
	ask()
	re := v.rtpGot(s.RTXSSRC)
	if len(re) != 3 {
		t.Fatalf("%d retransmissions", len(re))
	}
	for i, off := range []int{0, 1, 3} {
		q, o := re[i], got[4+off]
		if uint16(q.Payload[0])<<8|uint16(q.Payload[1]) != base+uint16(off) || !bytes.Equal(q.Payload[2:], o.Payload) || q.Timestamp != o.Timestamp ||
			q.Marker != o.Marker || q.PayloadType != subVP8.RTX || q.SequenceNumber != re[0].SequenceNumber+uint16(i) {
			t.Fatalf("retransmission %d: %v of %v", i, q, o)
		}
	}
	ask()
	if n := len(v.rtpGot(s.RTXSSRC)); n != 3 {
		t.Fatalf("repeated within one round trip: %d", n)
	}
	r.run(time.Second)
	ask()
	if n := len(v.rtpGot(s.RTXSSRC)); n != 6 {
		t.Fatalf("not repeated later: %d", n)
	}
	var st plane.LinkStats
	if r.shards[0].LegStats(v.leg, &st); st.RTXOut != 6 || st.NACKsIn != 9 {
		t.Fatalf("%d retransmissions for %d numbers asked for", st.RTXOut, st.NACKsIn)
	}
}

func TestPTP7_UnknownRTCPAndMux(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	x.frame(true)
	r.run(3 * time.Second)
	x.p.clear()
	b := must((&prtcp.ReceiverReport{SSRC: 77}).Marshal())
	b = append(b, 0x80, 195, 0, 1, 1, 2, 3, 4)
	b = append(b, must((&prtcp.PictureLossIndication{SenderSSRC: 77, MediaSSRC: s.SSRC}).Marshal())...)
	v.rawRTCP(b)
	r.run(time.Millisecond)
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n != 1 {
		t.Fatalf("%d PLI up", n)
	}
	v.clear()
	for pt := 200; pt <= 204; pt++ {
		b := x.packet(vp8Key, true)
		b[1] = byte(pt)
		x.p.rtp(b)
	}
	r.run(time.Millisecond)
	if got := v.rtpGot(0); len(got) != 0 {
		t.Fatalf("RTCP on the media path: %v", got)
	}
}

func TestPTP8_PauseAndRestart(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	play := func(n int, key bool) {
		for i := range n {
			x.frame(key && i == 0)
			r.run(time.Second / 30)
		}
	}
	play(30, true)
	before := v.rtpGot(s.SSRC)
	last := before[len(before)-1]
	s.Paused = true
	v.subscribe(x, s)
	v.clear()
	play(900, false)
	if got := v.rtpGot(0); len(got) != 0 {
		t.Fatal("sent while paused")
	}
	n := 0
	for _, q := range rtcpGot[*prtcp.SenderReport](v) {
		if q.SSRC == s.SSRC {
			n++
		}
	}
	if n < 10 {
		t.Fatalf("%d reports in the pause", n)
	}
	s.Paused = false
	v.subscribe(x, s)
	play(30, true)
	got := v.rtpGot(s.SSRC)
	if len(got) != 30 || got[0].SequenceNumber != last.SequenceNumber+1 || got[0].Timestamp != last.Timestamp+901*3000 {
		t.Fatalf("%d packets, first %v after %v", len(got), got[0], last)
	}
	// After a BYE the source comes only under a new SSRC.
	r.shards[0].Unsubscribe(r.now, s.Sub, &r.outs[0])
	r.run(time.Millisecond)
	if b := rtcpGot[*prtcp.Goodbye](v); len(b) != 1 || b[0].Sources[0] != s.SSRC {
		t.Fatalf("BYE %v", b)
	}
	v.clear()
	v.subscribe(x, s) // the old SSRC is refused
	play(5, true)
	if got := v.rtpGot(0); len(got) != 0 {
		t.Fatalf("old SSRC again: %v", got)
	}
	fresh := v.subscribe(x, plane.Subscription{})
	play(5, true)
	if len(v.rtpGot(fresh.SSRC)) != 5 || fresh.SSRC == s.SSRC {
		t.Fatal("no media under the new SSRC")
	}
}
