package engine_test

import (
	"bytes"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

func TestSFM1_OutgoingNumbersAreConsecutive(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 0xB0000001)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	var in []uint32
	for i := range 100 {
		if i == 20 || i == 60 {
			s.Paused = i == 20
			v.subscribe(x, s)
		}
		if i < 20 || i >= 60 {
			in = append(in, x.ts)
		}
		x.frame(i == 0 || i == 60)
		r.run(10 * time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 60 || len(v.rtpGot(0)) != 60 {
		t.Fatalf("%d packets", len(got))
	}
	for i, p := range got {
		if p.SequenceNumber != got[0].SequenceNumber+uint16(i) {
			t.Fatalf("seq %d: %v", i, seqs(got))
		}
		if p.Timestamp-got[0].Timestamp != in[i]-in[0] {
			t.Fatalf("timestamp delta %d", i)
		}
		if len(p.CSRC) != 0 {
			t.Fatal("CSRC")
		}
	}
}

func TestSFM2_LostUpstreamKeepsItsNumber(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	var lost []byte
	for i := range 20 {
		if i == 10 {
			lost = x.packet(append(bytes.Clone(vp8Inter), 0xAB), true)
			x.ts += 3000
		} else {
			x.frame(i == 0)
		}
		r.run(5 * time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 19 || got[10].SequenceNumber != got[9].SequenceNumber+2 {
		t.Fatalf("want a gap of one: %v", seqs(got))
	}
	x.p.rtp(lost)
	r.run(time.Millisecond)
	last := v.rtpGot(s.SSRC)[19]
	if last.SequenceNumber != got[9].SequenceNumber+1 || last.Timestamp != got[9].Timestamp+3000 || !bytes.HasSuffix(last.Payload, []byte{0xAB}) {
		t.Fatalf("repair went out as %v", last)
	}
}

func TestSFM2_RepairByRTX(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	x.frame(true)
	lost := x.seq
	x.seq++
	x.ts += 3000
	x.frame(false)
	r.run(50 * time.Millisecond)
	n := rtcpGot[*prtcp.TransportLayerNack](x.p)
	if len(n) == 0 || n[0].MediaSSRC != 1 || n[0].Nacks[0].PacketID != lost {
		t.Fatalf("NACK %v", n)
	}
	rtx := &pub{p: x.p, track: x.track, ssrc: 2, seq: 7, ts: x.ts - 6000, pt: pubVP8.RTX, tw: x.tw}
	rtx.send(append([]byte{byte(lost >> 8), byte(lost)}, vp8Inter...), true)
	r.run(time.Millisecond)
	got := v.rtpGot(s.SSRC)
	if len(got) != 3 || got[2].SequenceNumber != got[0].SequenceNumber+1 || got[2].Timestamp != got[0].Timestamp+3000 || !bytes.Equal(got[2].Payload, vp8Inter) {
		t.Fatalf("%v", got)
	}
	v.clear()
	rtx.send(append([]byte{byte(lost >> 8), byte(lost)}, vp8Inter...), true)
	r.run(time.Millisecond)
	if got := v.rtpGot(0); len(got) != 0 {
		t.Fatalf("duplicate forwarded: %v", got)
	}
}

func TestSFM3_NACKServedFromTheHistory(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 30 {
		if i == 20 {
			x.packet(vp8Inter, true) // lost upstream
		}
		x.frame(i == 0)
		r.run(time.Millisecond)
	}
	r.run(5 * time.Millisecond)
	got := v.rtpGot(s.SSRC)
	x.p.clear()
	v.clear()
	v.rtcp(&prtcp.TransportLayerNack{SenderSSRC: 77, MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: got[5].SequenceNumber}}})
	r.run(time.Millisecond)
	re := v.rtpGot(s.RTXSSRC)
	if len(re) != 1 || re[0].PayloadType != subVP8.RTX || re[0].Timestamp != got[5].Timestamp ||
		re[0].Payload[0] != byte(got[5].SequenceNumber>>8) || re[0].Payload[1] != byte(got[5].SequenceNumber) || !bytes.Equal(re[0].Payload[2:], got[5].Payload) {
		t.Fatalf("RTX %v", re)
	}
	// The one lost upstream: nothing down, at most our own NACK up, whoever asks.
	v.rtcp(&prtcp.TransportLayerNack{SenderSSRC: 77, MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: got[19].SequenceNumber + 1}}})
	r.run(30 * time.Millisecond)
	if re := v.rtpGot(s.RTXSSRC); len(re) != 1 {
		t.Fatalf("RTX of what we never had: %v", re)
	}
	if n := rtcpGot[*prtcp.TransportLayerNack](x.p); len(n) > 1 {
		t.Fatalf("%d NACKs up", len(n))
	}
}

func TestSFM4_KeyframeRequestsCoalesce(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	var vs []*peer
	var subs []plane.Subscription
	for range 10 {
		v := r.subscriber(0, 1, plane.Video)
		vs, subs = append(vs, v), append(subs, v.subscribe(x, plane.Subscription{}))
	}
	x.frame(true)
	r.run(3 * time.Second)
	x.p.clear()
	for i, v := range vs {
		v.rtcp(&prtcp.PictureLossIndication{SenderSSRC: 77, MediaSSRC: subs[i].SSRC})
		r.run(10 * time.Millisecond)
	}
	if n := rtcpGot[*prtcp.PictureLossIndication](x.p); len(n) != 1 || n[0].MediaSSRC != 1 {
		t.Fatalf("%d PLI up", len(n))
	}
	for _, v := range vs {
		v.clear()
	}
	x.frame(true)
	r.run(time.Millisecond)
	for i, v := range vs {
		if got := v.rtpGot(subs[i].SSRC); len(got) != 1 || !bytes.Equal(got[0].Payload, vp8Key) {
			t.Fatalf("receiver %d: %v", i, got)
		}
	}
	// Asked for ten times a second by everybody for a minute (scenario Q13).
	x.p.clear()
	for range 600 {
		x.frame(false)
		for i, v := range vs {
			v.rtcp(&prtcp.PictureLossIndication{SenderSSRC: 77, MediaSSRC: subs[i].SSRC})
		}
		r.run(100 * time.Millisecond)
	}
	if n := len(rtcpGot[*prtcp.PictureLossIndication](x.p)); n < 20 || n > 33 {
		t.Fatalf("%d PLI up in a minute", n)
	}
}

func TestSFM5_SimulcastSwitch(t *testing.T) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.Layers = []plane.Layer{{RID: "l"}, {RID: "h"}}
	p := r.join(0, m)
	hi := p.publish("0", plane.Video, 0xA1)
	lo := *hi
	hi.ext = map[uint8][]byte{pubExts[plane.ExtRID]: []byte("h")}
	lo.ssrc, lo.seq, lo.ts, lo.ext = 0xA0, 40000, 0xFFFFF000, map[uint8][]byte{pubExts[plane.ExtRID]: []byte("l")}
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(hi, plane.Subscription{})
	sr := func(x *pub) {
		x.p.rawRTCP(must(prtcp.Marshal([]prtcp.Packet{&prtcp.SenderReport{SSRC: x.ssrc, NTPTime: anchor.NTP(r.now), RTPTime: x.ts}})))
	}
	tick := func(n int, key int) {
		for i := range n {
			lo.frame(i == key)
			hi.frame(i == key)
			r.run(time.Second / 30)
		}
	}
	tick(40, 0)
	sr(hi)
	sr(&lo)
	tick(40, 0)
	before := v.rtpGot(s.SSRC)
	at := r.now
	if len(v.rtpGot(0)) != len(before) {
		t.Fatal("more than one SSRC")
	}
	s.Width = 200 // wants the small one now
	p.clear()
	v.subscribe(hi, s)
	tick(20, -1)
	tick(10, 5)
	if n := rtcpGot[*prtcp.PictureLossIndication](p); len(n) == 0 || n[0].MediaSSRC != lo.ssrc {
		t.Fatalf("no keyframe asked of the small layer: %v", n)
	}
	after := v.rtpGot(s.SSRC)[len(before):]
	if len(after) != 30 {
		t.Fatalf("%d packets after", len(after))
	}
	last := before[len(before)-1]
	for i, q := range append(before[len(before)-1:], after...)[1:] {
		if q.SequenceNumber != last.SequenceNumber+1 {
			t.Fatalf("seq at %d", i)
		}
		if d := int32(q.Timestamp - last.Timestamp); d <= 0 {
			t.Fatalf("timestamp steps by %d at %d", d, i)
		}
		last = q
		for _, id := range q.GetExtensionIDs() {
			if id == subExts[plane.ExtRID] {
				t.Fatal("RID sent on")
			}
		}
	}
	wall := time.Duration(r.now.Sub(at)) * 90000 / time.Second
	line := time.Duration(last.Timestamp - before[len(before)-1].Timestamp)
	if d := line - wall; d > 3000 || d < -3000 {
		t.Fatalf("timestamps moved by %d, wall time by %d", line, wall)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSFM6_FormatsAndHopLocalExtensions(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video, plane.Audio)
	x, a := p.publish("0", plane.Video, 1), p.publish("1", plane.Audio, 2)
	a.tw = x.tw
	*x.tw = 30000
	x.ext = map[uint8][]byte{pubExts[plane.ExtOrientation]: {2}, pubExts[plane.ExtAbsSendTime]: {1, 2, 3}, 13: {9}}
	a.ext = map[uint8][]byte{pubExts[plane.ExtAudioLevel]: {0x85}}
	m := plane.LegMedia{Sections: []plane.Section{
		{MID: "v", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}},
		{MID: "a", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}}}}
	v := r.join(0, m)
	sv, sa := v.subscribe(x, plane.Subscription{MID: "v"}), v.subscribe(a, plane.Subscription{MID: "a"})
	for i := range 50 {
		x.frame(i == 0)
		a.send([]byte{1, 2}, false)
		a.ts += 960
		r.run(20 * time.Millisecond)
	}
	got := v.rtpGot(sv.SSRC)
	v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: sv.SSRC, Nacks: []prtcp.NackPair{{PacketID: got[3].SequenceNumber, LostPackets: 3}}})
	r.run(20 * time.Millisecond)
	all := v.rtpGot(0)
	if len(all) != 103 {
		t.Fatalf("%d packets", len(all))
	}
	for i, q := range all {
		tw := q.GetExtension(subExts[plane.ExtTransportCC])
		if len(tw) != 2 || int(tw[0])<<8|int(tw[1]) != i {
			t.Fatalf("transport-wide number at %d: %v", i, tw)
		}
		if abs := q.GetExtension(subExts[plane.ExtAbsSendTime]); len(abs) != 3 || bytes.Equal(abs, []byte{1, 2, 3}) {
			t.Fatalf("abs-send-time %v", abs)
		}
		mid := string(q.GetExtension(subExts[plane.ExtMID]))
		want := map[uint32]struct {
			pt  uint8
			mid string
		}{sv.SSRC: {111, "v"}, sa.SSRC: {63, "a"}, sv.RTXSSRC: {112, "v"}}[q.SSRC]
		if q.PayloadType != want.pt || mid != want.mid {
			t.Fatalf("SSRC %x: PT %d mid %q", q.SSRC, q.PayloadType, mid)
		}
		if q.SSRC == sv.SSRC && !bytes.Equal(q.GetExtension(subExts[plane.ExtOrientation]), []byte{2}) {
			t.Fatal("orientation lost")
		}
		if q.SSRC == sa.SSRC && !bytes.Equal(q.GetExtension(subExts[plane.ExtAudioLevel]), []byte{0x85}) {
			t.Fatal("audio level lost")
		}
		if n := len(q.GetExtensionIDs()); n > 4 {
			t.Fatalf("%d extensions", n)
		}
	}
}

func TestSFM7_RTCPEndsHere(t *testing.T) {
	r := newRoom(t, 1)
	both := func(ssrc uint32) (*peer, *pub, *pub) {
		m := pubMedia(plane.Video, plane.Audio)
		for i := range 4 {
			c := subVP8
			if i%2 == 1 {
				c = subOpus
			}
			m.Sections = append(m.Sections, plane.Section{MID: string(rune('a' + i)), Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{c}}})
		}
		p := r.join(0, m)
		return p, p.publish("0", plane.Video, ssrc), p.publish("1", plane.Audio, ssrc+1)
	}
	a, av, aa := both(0xAAAA0000)
	b, bv, ba := both(0xBBBB0000)
	c, _, _ := both(0xCCCC0000)
	subs := map[uint32]string{}
	var sa plane.Subscription
	for i, x := range []*pub{av, aa, bv, ba} {
		s := c.subscribe(x, plane.Subscription{MID: string(rune('a' + i))})
		subs[s.SSRC] = x.track.CNAME
		if i == 0 {
			sa = s
		}
	}
	for i := range 200 {
		av.frame(i%50 == 0)
		bv.frame(i%50 == 0)
		aa.send([]byte{1}, false)
		ba.send([]byte{1}, false)
		if i%20 == 0 {
			a.rtcp(&prtcp.SenderReport{SSRC: av.ssrc, NTPTime: 99, RTPTime: 7, PacketCount: 4242}, &prtcp.ExtendedReport{SenderSSRC: av.ssrc},
				&prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: av.ssrc, Bitrate: 1e6, SSRCs: []uint32{sa.SSRC}})
			b.rtcp(&prtcp.TransportLayerCC{Header: prtcp.Header{Count: 15, Type: 205, Length: 5}, SenderSSRC: 9, PacketStatusCount: 0}, &prtcp.ExtendedReport{SenderSSRC: bv.ssrc})
		}
		r.run(20 * time.Millisecond)
	}
	cnames := map[uint32]string{}
	for _, d := range rtcpGot[*prtcp.SourceDescription](c) {
		for _, k := range d.Chunks {
			cnames[k.Source] = k.Items[0].Text
		}
	}
	for ssrc, want := range subs {
		if cnames[ssrc] != want {
			t.Errorf("CNAME of %x: %q, want %q", ssrc, cnames[ssrc], want)
		}
	}
	srs := 0
	for _, s := range rtcpGot[*prtcp.SenderReport](c) {
		if subs[s.SSRC] == "" || s.PacketCount == 4242 {
			t.Fatalf("foreign SR %v", s)
		}
		if s.SSRC == sa.SSRC {
			srs++
			if s.PacketCount > 200 || s.OctetCount > 200*uint32(len(vp8Key)) {
				t.Fatalf("SR counts %v", s)
			}
		}
	}
	if srs < 2 {
		t.Fatalf("%d SRs", srs)
	}
	for _, p := range []*peer{a, b, c} {
		if len(rtcpGot[*prtcp.ExtendedReport](p)) != 0 {
			t.Error("XR passed on")
		}
		for _, s := range p.got {
			if s.rtcp && (bytes.Contains(s.b, []byte{0xAA, 0xAA, 0, 0}) != (p == a) && bytes.Contains(s.b, []byte{0xAA, 0xAA, 0, 0})) {
				t.Errorf("a's SSRC leaked: % x", s.b)
			}
		}
	}
	if n := len(rtcpGot[*prtcp.TransportLayerCC](c)); n != 0 {
		t.Errorf("%d TWCC to one who sends nothing", n)
	}
}

func TestSFM10_OriginLeaves(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v, w := r.subscriber(0, 1, plane.Video), r.subscriber(0, 1, plane.Video)
	s, sw := v.subscribe(x, plane.Subscription{}), w.subscribe(x, plane.Subscription{})
	x.frame(true)
	r.run(time.Millisecond)
	r.shards[0].RemoveTrack(r.now, x.id, &r.outs[0])
	r.shards[0].CloseLeg(r.now, x.p.leg, &r.outs[0])
	r.run(time.Second)
	for p, ssrc := range map[*peer]uint32{v: s.SSRC, w: sw.SSRC} {
		n := 0
		for _, b := range rtcpGot[*prtcp.Goodbye](p) {
			for _, q := range b.Sources {
				if q == ssrc {
					n++
				}
			}
		}
		if n != 1 {
			t.Fatalf("%d BYEs for %x", n, ssrc)
		}
	}
	// The same SSRC is not used again on the leg.
	y := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v.clear()
	v.subscribe(y, s)
	s2 := s
	s2.Sub = ids.Subscription("again")
	v.subscribe(y, s2)
	y.frame(true)
	r.run(time.Second)
	if got := v.rtpGot(s.SSRC); len(got) != 0 {
		t.Fatalf("SSRC reused: %v", got)
	}
	if live := r.pool.Live(); live > 1 {
		t.Fatalf("%d buffers live", live)
	}
}

func TestSFM11_EqualSSRCsOfTwoOrigins(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 0xDEADBEEF)
	y := r.publisher(0, plane.Audio).publish("0", plane.Audio, 0xDEADBEEF)
	v := r.subscriber(0, 2, plane.Audio)
	a, b := v.subscribe(x, plane.Subscription{}), v.subscribe(y, plane.Subscription{MID: "s1"})
	for range 20 {
		x.send([]byte{'x'}, false)
		y.send([]byte{'y'}, false)
		r.run(20 * time.Millisecond)
	}
	for ssrc, want := range map[uint32]byte{a.SSRC: 'x', b.SSRC: 'y'} {
		got := v.rtpGot(ssrc)
		if len(got) != 20 {
			t.Fatalf("%d packets", len(got))
		}
		for _, p := range got {
			if p.Payload[0] != want {
				t.Fatal("mixed up")
			}
		}
	}
}

var _ engine.API = (*engine.Engine)(nil)
