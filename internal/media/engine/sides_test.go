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

// hybrid is a room of two browsers and a phone: the browsers get every source,
// the phone a mix that a mixer on an inside leg makes of what it is sent there.
func hybrid(t *testing.T) (r *room, phone *pub, ws [2]*peer, subs [2]plane.Subscription, m *mixer, mixed plane.Subscription) {
	r = newRoom(t, 1)
	pcmu := []plane.Codec{{Name: "PCMU", PT: 0, ClockRate: 8000}}
	p := r.join(0, plane.LegMedia{RTCPMin: 5 * time.Second, RTCPRate: 400, Sections: []plane.Section{{MID: "0", Kind: plane.Audio, Recv: &plane.Recv{Codecs: pcmu}, Send: &plane.Send{Codecs: pcmu}}}})
	phone = p.prepare("0", plane.Audio, 0x9999)
	phone.pt, phone.noMID = 0, true
	p.announce(phone)
	for i := range ws {
		ws[i] = r.join(0, plane.LegMedia{Sections: []plane.Section{
			{MID: "up", Kind: plane.Audio, Exts: pubExts, Recv: &plane.Recv{Codecs: []plane.Codec{pubOpus}}},
			{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus, pcmu[0]}}}}})
		subs[i] = ws[i].subscribe(phone, plane.Subscription{})
	}
	m = r.newMixer(0)
	mm := m.p.media
	mm.Sections[0].Recv.Codecs = pcmu
	r.shards[0].ConfigureLeg(r.now, m.p.leg, mm)
	m.pt = 0
	mixed = p.subscribe(m.pub, plane.Subscription{MID: "0"})
	return r, phone, ws, subs, m, mixed
}

// TestCMB3_BrowsersAndAPhone: each browser gets one stream of the phone, the
// phone one mix and nothing else; keyframe storms never reach it.
func TestCMB3_BrowsersAndAPhone(t *testing.T) {
	r, phone, ws, subs, m, mixed := hybrid(t)
	for i := range 100 {
		phone.send([]byte("voice"), false)
		phone.ts += 160
		m.mix(7)
		if i%10 == 0 {
			for k, w := range ws {
				w.rtcp(&prtcp.PictureLossIndication{SenderSSRC: 9, MediaSSRC: subs[k].SSRC}, &prtcp.FullIntraRequest{SenderSSRC: 9, FIR: []prtcp.FIREntry{{SSRC: subs[k].SSRC}}},
					&prtcp.TransportLayerNack{SenderSSRC: 9, MediaSSRC: subs[k].SSRC, Nacks: []prtcp.NackPair{{PacketID: uint16(i)}}})
			}
		}
	}
	r.run(6 * time.Second)
	for i, w := range ws {
		if ps := w.rtpGot(0); len(ps) != 100 || len(w.rtpGot(subs[i].SSRC)) != 100 {
			t.Fatalf("%d packets", len(ps))
		}
	}
	ps := phone.p.rtpGot(0)
	if len(ps) != 100 {
		t.Fatalf("the phone got %d packets", len(ps))
	}
	for _, q := range ps {
		if q.SSRC != mixed.SSRC || string(q.Payload) != "mix" {
			t.Fatalf("%v", q)
		}
	}
	for _, s := range phone.p.got { // B2B-3: an AVP side gets no feedback packets
		for b := s.b; s.rtcp && len(b) >= 4; b = b[4+4*(int(b[2])<<8|int(b[3])):] {
			if b[1] >= 205 {
				t.Fatalf("the phone got %d/%d", b[1], b[0]&31)
			}
		}
	}
}

// TestASY6_TheHybridEndsRTCP: reports of the phone stay with us, browsers get
// ours, counted by what they were sent, also of a phone that sends none; the phone
// is told of its own stream only.
func TestASY6_TheHybridEndsRTCP(t *testing.T) {
	for _, reports := range []bool{true, false} {
		_, phone, ws, subs, m, mixed := hybrid(t)
		for i := range 500 {
			if i%10 != 3 { // lost on its way to us
				phone.send([]byte("voice"), false)
			} else {
				phone.seq++
			}
			phone.ts += 160
			if reports && i%50 == 0 {
				phone.p.rtcp(&prtcp.SenderReport{SSRC: 0x9999, NTPTime: 77, RTPTime: phone.ts, PacketCount: 12345, OctetCount: 54321})
			}
			m.mix(7)
		}
		for i, w := range ws {
			n := 0
			for _, sr := range rtcpGot[*prtcp.SenderReport](w) {
				if sr.SSRC != subs[i].SSRC || sr.PacketCount > 450 || sr.OctetCount != 5*sr.PacketCount || sr.NTPTime == 77 {
					t.Fatalf("%v", sr)
				}
				n++
			}
			if n < 5 {
				t.Fatalf("reports %v: %d of ours", reports, n)
			}
		}
		n := 0
		for _, rr := range rtcpGot[*prtcp.ReceiverReport](phone.p) {
			for _, k := range rr.Reports {
				if n++; k.SSRC != 0x9999 || k.FractionLost < 20 || k.FractionLost > 30 {
					t.Fatalf("%+v", k)
				}
			}
		}
		for _, sr := range rtcpGot[*prtcp.SenderReport](phone.p) {
			if sr.SSRC != mixed.SSRC {
				t.Fatalf("%v", sr)
			}
		}
		if n == 0 {
			t.Fatal("the phone hears nothing of its loss")
		}
	}
}

// TestPTP6_SmallRepairsCostLittle: what a repair costs is its payload.
func TestPTP6_SmallRepairsCostLittle(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	s := v.subscribe(x, plane.Subscription{})
	for i := range 1000 {
		x.frame(i == 0)
		r.turn()
		ps := v.rtpGot(s.SSRC)
		v.rtcp(&prtcp.TransportLayerNack{MediaSSRC: s.SSRC, Nacks: []prtcp.NackPair{{PacketID: ps[len(ps)-1].SequenceNumber}}})
		r.run(time.Millisecond)
		v.got = v.got[:0]
		r.turn()
	}
	var st plane.LinkStats
	if r.shards[0].LegStats(v.leg, &st); st.RTXOut != 1000 {
		t.Fatalf("%d of 1000", st.RTXOut)
	}
}
