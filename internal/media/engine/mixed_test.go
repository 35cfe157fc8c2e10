package engine_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

// mixer is an inside leg's far end: it sends mixed sound under one SSRC.
type mixer struct {
	*pub
	in int // packets sent
}

const mixLevels = 12 // extension id on the mixer's leg

// newMixer publishes a mixed track on a leg of its own.
func (r *room) newMixer(shard int) *mixer {
	x := pubExts
	x[plane.ExtMixerLevel] = mixLevels
	x[plane.ExtTransportCC] = 0
	c := pubOpus
	c.TWCC = false
	p := r.join(shard, plane.LegMedia{CNAME: "mixer", Sections: []plane.Section{{MID: "0", Kind: plane.Audio, Exts: x, Recv: &plane.Recv{Codecs: []plane.Codec{c}, Layers: []plane.Layer{{SSRC: 0x3141}}}}}})
	return &mixer{pub: r.announce(p, 0x3141, func(t *plane.Track) { t.Mixed = true })}
}

// announce publishes an audio track with changes.
func (r *room) announce(p *peer, ssrc uint32, change func(*plane.Track)) *pub {
	x := p.prepare("0", plane.Audio, ssrc)
	change(&x.track)
	p.announce(x)
	return x
}

// mix sends 20 ms of sound that names its contributors, loudest first.
func (m *mixer) mix(who ...uint32) {
	h := prtp.Header{Version: 2, PayloadType: m.pt, SequenceNumber: m.seq, Timestamp: m.ts, SSRC: m.ssrc, CSRC: who}
	levels := make([]byte, len(who))
	for i := range levels {
		levels[i] = byte(10 + i)
	}
	if len(who) > 0 {
		_ = h.SetExtension(mixLevels, levels)
	}
	_ = h.SetExtension(pubExts[plane.ExtAudioLevel], []byte{0x80 | 5})
	b, err := (&prtp.Packet{Header: h, Payload: []byte("mix")}).Marshal()
	if err != nil {
		m.p.r.t.Fatal(err)
	}
	m.p.rtp(b)
	m.seq++
	m.ts += 960
	m.in++
	m.p.r.run(20 * time.Millisecond)
}

func mixListener() plane.LegMedia {
	x := subExts
	x[plane.ExtMixerLevel] = 13
	return plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Audio, Exts: x, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}}}}
}

// setContributors tells the shards of a track who is in it, as the worker does.
func (m *mixer) setContributors(list ...plane.Contributor) {
	r := m.p.r
	for i, e := range r.shards {
		e.SetContributors(r.now, m.id, list, &r.outs[i])
	}
}

// TestMIX3_ContributorsAreCarriedOn: the mixer's CSRC list and its levels, byte
// for CSRC in order, reach the listener under its own extension id, in one shard
// and across two; no more than 15 and never the mix's own SSRC.
func TestMIX3_ContributorsAreCarriedOn(t *testing.T) {
	for _, there := range []int{0, 1} {
		r := newRoom(t, 2)
		m := r.newMixer(0)
		p := r.join(there, mixListener())
		s := p.subscribe(m.pub, plane.Subscription{})
		var all []uint32
		for i := range uint32(15) {
			all = append(all, 0x100+i)
		}
		for _, who := range [][]uint32{{0xB, 0xC}, {0xC}, {}, all} {
			p.clear()
			m.mix(who...)
			ps := p.rtpGot(s.SSRC)
			if len(ps) != 1 || !slices.Equal(ps[0].CSRC, who) {
				t.Fatalf("shard %d: want %x, got %v", there, who, ps)
			}
			levels := ps[0].GetExtension(13)
			if len(levels) != len(who) {
				t.Fatalf("%d levels for %d contributors", len(levels), len(who))
			}
			for i, v := range levels {
				if v != byte(10+i) {
					t.Fatalf("levels %x", levels)
				}
			}
			if string(ps[0].Payload) != "mix" {
				t.Fatalf("payload %q", ps[0].Payload)
			}
		}
	}
}

// TestMixIsNoSpeaker: a mix announces a level of its own, yet only people speak.
func TestMixIsNoSpeaker(t *testing.T) {
	r := newRoom(t, 1)
	m := r.newMixer(0)
	for range 200 {
		m.mix(7)
	}
	for _, e := range r.events {
		if e.Kind == plane.SpeakersChanged {
			t.Fatalf("%+v", e)
		}
	}
}

// TestMixedLevelsNeedAMixer: an ordinary source that claims contributors has
// neither its CSRCs nor their levels carried on.
func TestMixedLevelsNeedAMixer(t *testing.T) {
	r := newRoom(t, 1)
	m := r.newMixer(0)
	r.shards[0].RemoveTrack(r.now, m.id, &r.outs[0])
	m.pub = r.announce(m.p, 0x3141, func(*plane.Track) {})
	p := r.join(0, mixListener())
	s := p.subscribe(m.pub, plane.Subscription{})
	m.mix(0xB, 0xC)
	ps := p.rtpGot(s.SSRC)
	if len(ps) != 1 || len(ps[0].CSRC) != 0 || ps[0].GetExtension(13) != nil {
		t.Fatalf("%v", ps)
	}
}

// names returns the SDES chunks a peer got, CNAMEs by SSRC.
func names(p *peer) map[uint32]string {
	m := map[uint32]string{}
	for _, d := range rtcpGot[*prtcp.SourceDescription](p) {
		for _, c := range d.Chunks {
			m[c.Source] = c.Items[0].Text
		}
	}
	return m
}

// TestMIX6_WhoLeavesTheMixGetsABye: SDES on behalf of contributors, BYE for one
// who leaves, to listeners of the mix only, and once; the mix goes on.
func TestMIX6_WhoLeavesTheMixGetsABye(t *testing.T) {
	r := newRoom(t, 2)
	m := r.newMixer(0)
	near, far, other := r.join(0, mixListener()), r.join(1, mixListener()), r.join(0, mixListener())
	mute := r.join(0, mixListener())
	b, c := plane.Contributor{SrcID: 0xB, CNAME: "alias-b"}, plane.Contributor{SrcID: 0xC, CNAME: "alias-c"}
	s := near.subscribe(m.pub, plane.Subscription{})
	far.subscribe(m.pub, plane.Subscription{})
	anon := mute.subscribe(m.pub, plane.Subscription{Sub: "anon", SSRC: 0x99, Anonymous: true})
	m.setContributors(b, c)
	for range 300 {
		m.mix(0xB, 0xC)
	}
	for _, p := range []*peer{near, far} {
		if n := names(p); n[0xB] != "alias-b" || n[0xC] != "alias-c" {
			t.Fatalf("%v", n)
		}
		p.clear()
	}
	// RFC 7667, section 3.9: the anonymous leg hears of nobody.
	if n := names(mute); n[0xB] != "" || n[0xC] != "" || len(n) == 0 {
		t.Fatalf("%v", n)
	}
	for _, q := range mute.rtpGot(anon.SSRC) {
		if len(q.CSRC) != 0 || q.GetExtension(13) != nil {
			t.Fatalf("%v", q)
		}
	}
	m.setContributors(c)
	for range 300 {
		m.mix(0xC)
	}
	for _, p := range []*peer{near, far} {
		if g := rtcpGot[*prtcp.Goodbye](p); len(g) != 1 || !slices.Equal(g[0].Sources, []uint32{0xB}) {
			t.Fatalf("%v", g)
		}
		if n := names(p); n[0xB] != "" || n[0xC] != "alias-c" {
			t.Fatalf("%v", n)
		}
	}
	for _, p := range []*peer{other, mute} {
		if g := rtcpGot[*prtcp.Goodbye](p); len(g) != 0 {
			t.Fatalf("%v", g)
		}
	}
	near.clear()
	r.shards[0].Unsubscribe(r.now, s.Sub, &r.outs[0])
	r.turn()
	var gone []uint32
	for _, g := range rtcpGot[*prtcp.Goodbye](near) {
		gone = append(gone, g.Sources...)
	}
	if !slices.Contains(gone, s.SSRC) || !slices.Contains(gone, uint32(0xC)) {
		t.Fatalf("%x", gone)
	}
}

// TestManyContributorsFitCompounds: every compound begins with a report and has
// our name, however many there are to tell of.
func TestManyContributorsFitCompounds(t *testing.T) {
	r := newRoom(t, 1)
	m := r.newMixer(0)
	p := r.join(0, mixListener())
	p.subscribe(m.pub, plane.Subscription{})
	var list []plane.Contributor
	for i := range uint32(200) {
		list = append(list, plane.Contributor{SrcID: 0x1000 + i, CNAME: "a-rather-long-canonical-name"})
	}
	m.setContributors(list...)
	for range 200 {
		m.mix(0x1000)
	}
	if n := names(p); n[0x1000] == "" || n[0x1000+199] == "" {
		t.Fatalf("%d names", len(n))
	}
	for _, s := range p.got {
		if s.rtcp && (len(s.b) > 1300 || (s.b[1] != 200 && s.b[1] != 201)) {
			t.Fatalf("compound of %d bytes begins with %d", len(s.b), s.b[1])
		}
	}
}

// TestMTR1_KeepsTheSourcesSSRC: a translator's stream has the source's own SSRC
// and numbers on every leg, and its CNAME; where the number is taken it has ours.
func TestMTR1_KeepsTheSourcesSSRC(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Audio)
	x := r.announce(a, 0x11111111, func(t *plane.Track) { t.Keep = true })
	x.seq, x.ts = 100, 777
	p := r.subscriber(0, 1, plane.Audio)
	s := p.subscribe(x, plane.Subscription{})
	// Another leg whose peer has that number for itself.
	q := r.join(0, plane.LegMedia{Sections: []plane.Section{
		{MID: "s0", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}},
		{MID: "up", Kind: plane.Audio, Exts: pubExts, Recv: &plane.Recv{Codecs: []plane.Codec{pubOpus}}}}})
	own := q.publish("up", plane.Audio, 0x11111111)
	own.send([]byte("own"), false)
	o := q.subscribe(x, plane.Subscription{})
	for range 100 {
		x.send([]byte("voice"), false)
		x.ts += 960
		r.run(20 * time.Millisecond)
	}
	ps := p.rtpGot(0x11111111)
	if len(ps) != 100 || ps[0].SequenceNumber != 100 || ps[0].Timestamp != 777 || ps[99].SequenceNumber != 199 {
		t.Fatalf("%d packets", len(ps))
	}
	if n := names(p); n[0x11111111] != x.track.CNAME || n[s.SSRC] != "" {
		t.Fatalf("%v", n)
	}
	if len(q.rtpGot(0x11111111)) != 0 || len(q.rtpGot(o.SSRC)) != 100 {
		t.Fatal("the peer's own number was taken")
	}
	// Gone and back: BYE was final for the number (rule C5).
	r.shards[0].Unsubscribe(r.now, s.Sub, &r.outs[0])
	p.clear()
	s = p.subscribe(x, plane.Subscription{})
	x.send([]byte("again"), false)
	r.turn()
	if len(p.rtpGot(0x11111111)) != 0 || len(p.rtpGot(s.SSRC)) != 1 {
		t.Fatal("a spent SSRC came back")
	}
}

// TestRTM1_AnonymousTellsNothing: without CSRC, the source's name, or any
// extension that tells of it; our own CNAME.
func TestRTM1_AnonymousTellsNothing(t *testing.T) {
	r := newRoom(t, 1)
	a := r.publisher(0, plane.Video)
	x := a.publish("0", plane.Video, 0xA1)
	x.ext = map[uint8][]byte{pubExts[plane.ExtOrientation]: {1}, pubExts[plane.ExtAudioLevel]: {9}}
	p := r.subscriber(0, 2, plane.Video)
	slot := p.subscribe(x, plane.Subscription{Sub: "slot", SSRC: 0x71, Slot: true, Anonymous: true})
	line := p.subscribe(x, plane.Subscription{Sub: "line", SSRC: 0x72, MID: "s1", Anonymous: true})
	for i := range 120 {
		x.frame(i == 0)
		r.run(time.Second / 30)
	}
	for _, ssrc := range []uint32{slot.SSRC, line.SSRC} {
		ps := p.rtpGot(ssrc)
		if len(ps) != 120 {
			t.Fatalf("%d packets", len(ps))
		}
		for _, q := range ps {
			if len(q.CSRC) != 0 || q.GetExtension(subExts[plane.ExtAudioLevel]) != nil || !bytes.Equal(q.GetExtension(subExts[plane.ExtOrientation]), []byte{1}) {
				t.Fatalf("%v", q)
			}
		}
	}
	for id, name := range names(p) {
		if name != p.media.CNAME {
			t.Fatalf("%x is called %q", id, name)
		}
	}
	// RTM-5: its leaving is nobody's business by RTP, but for our own stream.
	p.clear()
	r.shards[0].RemoveTrack(r.now, x.id, &r.outs[0])
	r.turn()
	for _, g := range rtcpGot[*prtcp.Goodbye](p) {
		if !slices.Equal(g.Sources, []uint32{line.SSRC}) {
			t.Fatalf("%v", g)
		}
	}
}

// TestLegCountsAndTimes: send times are those of sending, octets those of whole
// packets, padding of the publisher left out.
func TestLegCountsAndTimes(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 0xA1)
	p := r.subscriber(0, 1, plane.Audio)
	s := p.subscribe(x, plane.Subscription{})
	for range 50 {
		x.send([]byte("voice"), false)
		x.ts += 960
		r.run(20 * time.Millisecond)
	}
	octets := uint64(0)
	var last uint32
	for i, q := range p.rtpGot(s.SSRC) {
		octets += uint64(q.MarshalSize())
		b := q.GetExtension(subExts[plane.ExtAbsSendTime])
		at := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
		// 20 ms in 6.18 fixed point.
		if d := at - last; i > 0 && (d < 5242 || d > 5243) {
			t.Fatalf("sent %d after the last", d)
		}
		last = at
	}
	var st plane.LinkStats
	if r.shards[0].LegStats(p.leg, &st); st.BytesOut != octets || st.PacketsOut != 50 {
		t.Fatalf("%d octets in %d packets, want %d", st.BytesOut, st.PacketsOut, octets)
	}
}

// TestHeadersLieClose: what a batch writes takes the room it needs, no more.
func TestHeadersLieClose(t *testing.T) {
	r := newRoom(t, 1)
	x := r.publisher(0, plane.Audio).publish("0", plane.Audio, 0xA1)
	for range 10 {
		r.subscriber(0, 1, plane.Audio).subscribe(x, plane.Subscription{})
	}
	r.turn()
	x.send([]byte("voice"), false)
	var out engine.Out
	r.shards[0].Flush(r.now, &out)
	if len(out.Batch.Sends) != 10 {
		t.Fatalf("%d packets", len(out.Batch.Sends))
	}
	for i, s := range out.Batch.Sends {
		if s.HdrOff > uint32(i)*64 {
			t.Fatalf("header %d at %d", i, s.HdrOff)
		}
	}
	out.Batch.Reset()
}

// TestMIX5_ReportsFollowTheClock: where a source reports nothing itself, our SR
// for its stream runs on with the time, also while it is silent.
func TestMIX5_ReportsFollowTheClock(t *testing.T) {
	r := newRoom(t, 1)
	m := r.newMixer(0)
	p := r.join(0, mixListener())
	s := p.subscribe(m.pub, plane.Subscription{})
	for range 50 * 30 {
		m.mix(7)
	}
	r.run(30 * time.Second)
	var first *prtcp.SenderReport
	n := 0
	for _, sr := range rtcpGot[*prtcp.SenderReport](p) {
		if sr.SSRC != s.SSRC {
			continue
		}
		if n++; first == nil {
			first = sr
		}
		secs := float64(int64(sr.NTPTime-first.NTPTime)) / (1 << 32)
		if d := float64(sr.RTPTime-first.RTPTime) - secs*48000; d > 48 || d < -48 {
			t.Fatalf("report %d is %f ticks off the line", n, d)
		}
	}
	if last := rtcpGot[*prtcp.SenderReport](p); n < 30 || last[len(last)-1].PacketCount != 1500 || last[len(last)-1].OctetCount != 4500 {
		t.Fatalf("%d reports, last %v", n, last[len(last)-1])
	}
}
