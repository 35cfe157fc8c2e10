package engine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/media/red"
)

// Both sides with redundancy negotiated.
var (
	pubRED = plane.Codec{Name: "opus", PT: 109, RED: 104, ClockRate: 48000, Channels: 2, TWCC: true}
	subRED = plane.Codec{Name: "opus", PT: 63, RED: 66, ClockRate: 48000, Channels: 2, TWCC: true}
)

func voiceMedia(c plane.Codec, send bool) plane.LegMedia {
	s := plane.Section{MID: "0", Kind: plane.Audio, Exts: pubExts, Recv: &plane.Recv{Codecs: []plane.Codec{c}}}
	if send {
		s = plane.Section{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{c}}}
	}
	return plane.LegMedia{Sections: []plane.Section{s}}
}

// voice is a publisher of sound that repeats the last payloads in each packet.
type voice struct {
	*pub
	depth int
	past  [][]byte
}

func speech(n uint32) []byte {
	return append([]byte(fmt.Sprintf("speech %6d ", n)), bytes.Repeat([]byte{byte(n)}, 60+int(n%9))...)
}

// say makes the next packet of 20 ms.
func (v *voice) say() (b []byte) {
	own := speech(v.ts / 960)
	payload := own
	if v.depth > 0 {
		payload = withRED(v.past, own, pubRED.PT)
	}
	b = v.packet(payload, false)
	if v.depth > 0 {
		b[1] = pubRED.RED
	}
	v.ts += 960
	if v.past = append(v.past, own); len(v.past) > v.depth {
		v.past = v.past[1:]
	}
	return b
}

func withRED(past [][]byte, own []byte, pt uint8) []byte {
	b := make([]byte, red.HeaderLen(len(past)))
	n := 0
	for i, p := range past {
		n += red.PutRepeated(b[n:], pt, uint32(len(past)-i)*960, len(p))
	}
	red.PutPrimary(b[n:], pt)
	for _, p := range past {
		b = append(b, p...)
	}
	return append(b, own...)
}

func newVoice(r *room, depth int) *voice {
	return &voice{pub: r.join(0, voiceMedia(pubRED, false)).publish("0", plane.Audio, 0xA0000001), depth: depth}
}

// heard is what a receiver can play, by time of capture.
func heard(t *testing.T, ps []*prtp.Packet, c plane.Codec, at map[uint32]string) (widest int) {
	for _, p := range ps {
		if p.PayloadType == c.PT {
			at[p.Timestamp] = string(p.Payload)
			continue
		}
		var x [red.MaxBlocks]red.Block
		n, ok := red.Parse(p.Payload, &x)
		if p.PayloadType != c.RED || !ok || x[n-1].PT != c.PT {
			t.Fatalf("payload type %d: % x", p.PayloadType, p.Payload)
		}
		widest = max(widest, n-1)
		for _, k := range x[:n] {
			at[p.Timestamp-uint32(k.Offset)] = string(p.Payload[k.From:k.To])
		}
	}
	return widest
}

// TestRED_LostPacketsComeOutOfLaterOnes: redundancy ends at the server, in order,
// once, and on for who takes none.
func TestRED_LostPacketsComeOutOfLaterOnes(t *testing.T) {
	r := newRoom(t, 1)
	x := newVoice(r, 2)
	v := r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x.pub, plane.Subscription{})
	late := []byte(nil)
	for i := range 40 {
		switch b := x.say(); i {
		case 10, 20, 21: // one, and two in a row
		case 30:
			late = b // comes when it has been repeated
		case 31:
			x.p.rtp(b)
			x.p.rtp(late)
		default:
			x.p.rtp(b)
		}
		r.run(20 * time.Millisecond)
	}
	got := v.rtpGot(s.SSRC)
	if len(got) != 40 {
		t.Fatalf("%d packets", len(got))
	}
	for i, p := range got {
		want := speech(uint32(5000/960 + i))
		if p.SequenceNumber != got[0].SequenceNumber+uint16(i) || p.Timestamp != got[0].Timestamp+uint32(i)*960 || p.PayloadType != subOpus.PT || !bytes.Equal(p.Payload, want) {
			t.Fatalf("%d: %v %q, want %q", i, p, p.Payload, want)
		}
	}
	var st plane.LinkStats
	r.shards[0].LegStats(x.p.leg, &st)
	if st.LostIn != 0 {
		t.Errorf("%d lost after repair", st.LostIn)
	}
	r.run(2 * time.Second)
	rr := rtcpGot[*prtcp.ReceiverReport](x.p)
	lost := uint32(0)
	for _, p := range rr {
		for _, b := range p.Reports {
			lost = max(lost, b.TotalLost)
		}
	}
	if lost != 4 { // the path lost them: the late one counts as repaired before it came
		t.Errorf("the publisher was told of %d lost", lost)
	}
}

// TestRED_WhatDoesNotFitIsLeftAlone: times that the neighbours contradict,
// foreign types, empty repeats, and rubbish make no packets.
func TestRED_WhatDoesNotFitIsLeftAlone(t *testing.T) {
	r := newRoom(t, 1)
	x := newVoice(r, 0)
	v := r.subscriber(0, 1, plane.Audio)
	v.subscribe(x.pub, plane.Subscription{})
	for i, past := range []struct {
		pt      uint8
		offset  uint32
		payload string
	}{{109, 1920, "of before the last"}, {109, 0, "of now"}, {8, 960, "of another kind"}, {109, 960, ""}} {
		x.p.rtp(x.say())
		x.seq++ // lost
		x.ts += 960
		h := make([]byte, red.HeaderLen(1))
		n := red.PutRepeated(h, past.pt, past.offset, len(past.payload))
		red.PutPrimary(h[n:], 109)
		b := x.packet(append(append(h, past.payload...), "now"...), false)
		b[1] = pubRED.RED
		x.ts += 960
		x.p.rtp(b)
		r.run(20 * time.Millisecond)
		if got := v.rtpGot(0); len(got) != 2*(i+1) || string(got[2*i+1].Payload) != "now" {
			t.Fatalf("case %d: %d packets", i, len(got))
		}
	}
	b := x.packet([]byte{0xff, 0xff}, false)
	b[1] = pubRED.RED
	x.p.rtp(b)
	r.run(20 * time.Millisecond)
	if e := r.shards[0].(*engine.Engine); len(v.rtpGot(0)) != 8 || e.Drops().Malformed != 1 {
		t.Fatalf("%+v", e.Drops())
	}
}

// report tells the server what a receiver lost, and the highest number it got.
func (p *peer) report(ssrc uint32, lost float64) {
	high := uint32(0)
	for i := len(p.got) - 1; i >= 0 && high == 0; i-- {
		if b := p.got[i].b; !p.got[i].rtcp && binary.BigEndian.Uint32(b[8:]) == ssrc {
			high = 1<<16 | uint32(b[2])<<8 | uint32(b[3])
		}
	}
	p.rtcp(&prtcp.ReceiverReport{SSRC: 99, Reports: []prtcp.ReceptionReport{{SSRC: ssrc, FractionLost: uint8(lost * 256), LastSequenceNumber: high}}})
}

// TestRED_AddedAsThePathNeeds: by what the receiver reports, for who takes it.
func TestRED_AddedAsThePathNeeds(t *testing.T) {
	r := newRoom(t, 1)
	x := newVoice(r, 0)
	v, plain := r.join(0, voiceMedia(subRED, true)), r.subscriber(0, 1, plane.Audio)
	s := v.subscribe(x.pub, plane.Subscription{})
	plain.subscribe(x.pub, plane.Subscription{})
	first := x.ts
	all := map[uint32]string{}
	say := func(d time.Duration) (depth int) {
		for range d / (20 * time.Millisecond) {
			x.p.rtp(x.say())
			r.run(20 * time.Millisecond)
		}
		depth = heard(t, v.rtpGot(s.SSRC), subRED, all)
		for _, p := range plain.rtpGot(0) {
			if p.PayloadType != subOpus.PT {
				t.Fatalf("redundancy for who takes none: %d", p.PayloadType)
			}
		}
		v.clear()
		plain.clear()
		return depth
	}
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d repeated, want %d", what, got, want)
		}
	}
	expect("before the first report", say(time.Second), 1)
	v.report(s.SSRC, 0)
	expect("clean", say(time.Second), 0)
	v.report(s.SSRC, 0.015)
	expect("1.5 %", say(time.Second), 1)
	v.report(s.SSRC, 0.05)
	expect("5 %", say(time.Second), 2)
	v.report(s.SSRC, 0.10)
	expect("10 %", say(time.Second), 3)
	v.report(s.SSRC, 0)
	expect("one clean report", say(5*time.Second), 3)
	say(10 * time.Second)
	expect("long clean", say(time.Second), 0)
	n := uint32(0)
	for ts := first; ts < x.ts; ts += 960 {
		n++
	}
	if len(all) != int(n) {
		t.Errorf("%d of %d heard", len(all), n)
	}
	base := uint32(0)
	for ts, b := range all { // one offset for all: nothing was said twice or at the wrong time
		var k uint32
		if _, err := fmt.Sscanf(b, "speech %d", &k); err != nil {
			t.Fatal(err)
		}
		if base == 0 {
			base = ts - k*960
		}
		if ts-k*960 != base || b != string(speech(k)) {
			t.Fatalf("%q at %d", b, ts)
		}
	}
}

func TestE1_EncryptedSoundGetsNoRedundancy(t *testing.T) {
	r := newRoom(t, 1)
	p := r.join(0, voiceMedia(pubOpus, false))
	x := p.prepare("0", plane.Audio, 7)
	x.track.Encrypted = true
	p.announce(x)
	v := r.join(0, voiceMedia(subRED, true))
	v.subscribe(x, plane.Subscription{})
	for range 20 {
		x.send(speech(1), false)
		x.ts += 960
		r.run(20 * time.Millisecond)
	}
	b := x.packet(withRED([][]byte{speech(1)}, speech(2), 109), false)
	b[1] = pubRED.RED // not negotiated: not looked into
	x.p.rtp(b)
	r.run(20 * time.Millisecond)
	got := v.rtpGot(0)
	if len(got) != 20 {
		t.Fatalf("%d packets", len(got))
	}
	for _, p := range got {
		if p.PayloadType != subRED.PT || !bytes.Equal(p.Payload, speech(1)) {
			t.Fatalf("%v", p)
		}
	}
}

// TestQ15_RedundancyStaysWithinAPacket: what the server makes longer stays within
// 1200 octets of UDP.
func TestQ15_RedundancyStaysWithinAPacket(t *testing.T) {
	r := newRoom(t, 1)
	x := newVoice(r, 0)
	v := r.join(0, voiceMedia(subRED, true))
	s := v.subscribe(x.pub, plane.Subscription{})
	v.report(s.SSRC, 0.2)
	rnd := rand.New(rand.NewPCG(3, 4))
	longest, wrapped := 0, 0
	for i := range 500 {
		x.send(bytes.Repeat([]byte{byte(i)}, 1+rnd.IntN(1100)), false)
		x.ts += 960
		r.run(20 * time.Millisecond)
		if i == 0 {
			v.report(s.SSRC, 0.2)
		}
	}
	for _, p := range v.rtpGot(0) {
		if p.PayloadType == subRED.RED {
			wrapped++
			b, _ := p.Marshal()
			longest = max(longest, len(b)+16)
		}
	}
	if wrapped < 100 || longest > 1200 || longest < 1000 {
		t.Fatalf("%d wrapped, longest %d", wrapped, longest)
	}
}

// TestQ6_Q7_SoundWithRedundancy: 10 and 20 % lost at random both ways for five
// minutes, repeated twice and three times by the publisher, and by the server as
// it finds: at most 0.2 and 1 % is left to conceal.
func TestQ6_Q7_SoundWithRedundancy(t *testing.T) {
	const seed = 6
	t.Logf("seed %d", seed)
	for _, c := range []struct {
		loss, most float64
		depth      int
	}{{0.10, 0.002, 2}, {0.20, 0.01, 3}} {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRoom(t, 1)
		x := newVoice(r, c.depth)
		v := r.join(0, voiceMedia(subRED, true))
		s := v.subscribe(x.pub, plane.Subscription{})
		sent, lost := 0, 0
		r.deliver = func(p *peer, k packetSent) {
			if p == v && !k.rtcp {
				if sent++; rnd.Float64() < c.loss {
					lost++
					return
				}
			}
			p.got = append(p.got, k)
		}
		const total = 15000
		for i := range total {
			if b := x.say(); rnd.Float64() >= c.loss {
				x.p.rtp(b)
			}
			if i%100 == 99 {
				v.report(s.SSRC, float64(lost)/float64(sent))
				sent, lost = 0, 0
			}
			r.run(20 * time.Millisecond)
		}
		all := map[uint32]string{}
		heard(t, v.rtpGot(s.SSRC), subRED, all)
		missing := 1 - float64(len(all))/total
		t.Logf("%.0f %% lost: %.3f %% concealed", c.loss*100, missing*100)
		if missing > c.most {
			t.Errorf("%.3f %% concealed", missing*100)
		}
	}
}

type packetSent = sent
