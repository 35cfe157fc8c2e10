package engine_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/fec"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

const parityPT, paritySSRC = 45, 0xFEC00001

// protector is a publisher's encoder of parity.
type protector struct {
	x   *pub
	enc fec.Encoder
	seq uint16
	m   fec.Mutable
}

func newProtector(x *pub) *protector {
	p := &protector{x: x, m: fec.Mutable{TransportCC: pubExts[plane.ExtTransportCC], AbsSendTime: pubExts[plane.ExtAbsSendTime]}}
	p.enc.Begin(x.ssrc)
	return p
}

// make makes a packet and protects it.
func (p *protector) make(payload []byte) []byte {
	b := p.x.packet(payload, true)
	p.x.ts += 3000
	p.enc.Add(uint16(b[2])<<8|uint16(b[3]), b, nil, &p.m)
	return b
}

// parity returns the packet that protects what was made since the last.
func (p *protector) parity(ssrc uint32) []byte {
	b := make([]byte, 1600)
	var w rtp.Writer
	w.Begin(b, &rtp.Fields{PayloadType: parityPT, Seq: p.seq, TS: p.x.ts, SSRC: ssrc}, false)
	w.Add(pubExts[plane.ExtMID], []byte(p.x.track.MID))
	n := w.End()
	n += p.enc.Put(b[n:])
	p.enc.Begin(p.x.ssrc)
	p.seq++
	return b[:n]
}

func fecPublisher(t *testing.T) (*room, *pub, *peer, plane.Subscription) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.FEC = parityPT
	x := r.join(0, m).publish("0", plane.Video, 0xA1)
	v := r.subscriber(0, 1, plane.Video)
	return r, x, v, v.subscribe(x, plane.Subscription{})
}

// TestFEC_PublishersLossesAreMade: one lost packet of those that parity protects
// is made out of it and goes on under its number, whether parity or the rest comes
// first; it is not asked for.
func TestFEC_PublishersLossesAreMade(t *testing.T) {
	const seed = 12
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r, x, v, s := fecPublisher(t)
	p := newProtector(x)
	var want [][]byte
	for g := range 100 {
		lost, late := rnd.IntN(6), rnd.IntN(6)
		var held []byte
		for i := range 6 {
			head := vp8Inter
			if g == 0 && i == 0 {
				head, lost = vp8Key, 3
			}
			payload := append(bytes.Clone(head), byte(g), byte(i))
			for range rnd.IntN(900) {
				payload = append(payload, byte(rnd.Uint32()))
			}
			want = append(want, payload)
			b := p.make(payload)
			switch {
			case i == lost:
			case i == late && g > 0 && late < 5:
				held = b
			default:
				x.p.rtp(b)
			}
			r.turn()
		}
		x.p.rtp(p.parity(paritySSRC))
		if r.turn(); held != nil {
			x.p.rtp(held)
			r.turn()
		}
		r.run(time.Millisecond / 4)
		// The next group begins with a packet that shows what the last one lost.
	}
	last := append(bytes.Clone(vp8Inter), 1)
	want = append(want, last)
	x.p.rtp(p.make(last))
	r.run(20 * time.Millisecond)
	got := v.rtpGot(s.SSRC)
	slices.SortFunc(got, func(a, b *prtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	if len(got) != len(want) {
		t.Fatalf("%d of %d", len(got), len(want))
	}
	for i, q := range got {
		if !bytes.Equal(q.Payload, want[i]) || q.SequenceNumber != got[0].SequenceNumber+uint16(i) || !q.Marker {
			t.Fatalf("%d: %d, %d bytes of %d", i, q.SequenceNumber, len(q.Payload), len(want[i]))
		}
	}
	if n := rtcpGot[*prtcp.TransportLayerNack](x.p); len(n) > 2 {
		t.Errorf("%d NACKs", len(n))
	}
}

// TestFEC_NonsenseIsDropped: parity that is none, of another SSRC, or that makes
// what nobody agreed to, does nothing.
func TestFEC_NonsenseIsDropped(t *testing.T) {
	const seed = 13
	rnd := rand.New(rand.NewPCG(seed, 1))
	r, x, v, s := fecPublisher(t)
	p := newProtector(x)
	x.p.rtp(p.make(vp8Key))
	n := 1
	for i := range 3000 {
		b := p.make(append(bytes.Clone(vp8Inter), byte(i)))
		if i%5 != 0 {
			x.p.rtp(b)
			n++
		}
		if i%3 == 0 {
			q := p.parity(paritySSRC)
			for range 1 + rnd.IntN(6) {
				q[20+rnd.IntN(len(q)-20)] = byte(rnd.Uint32())
			}
			x.p.rtp(q[:20+rnd.IntN(len(q)-20)])
			x.p.rtp(q)
		}
		r.run(time.Millisecond)
	}
	for _, q := range v.rtpGot(0) {
		if q.SSRC != s.SSRC && q.SSRC != s.RTXSSRC || q.PayloadType != subVP8.PT && q.PayloadType != subVP8.RTX {
			t.Fatalf("%v", q.Header)
		}
	}
	if got := len(v.rtpGot(s.SSRC)); got < n {
		t.Fatalf("%d of %d", got, n)
	}
}

// TestFEC_ReceiversAreProtected: parity goes to who can use it, when its path
// loses and answers to NACKs would be late, and one packet of each set may be lost.
func TestFEC_ReceiversAreProtected(t *testing.T) {
	for _, c := range []struct {
		rtt  time.Duration
		lost uint8
		want bool
	}{{200 * time.Millisecond, 13, true}, {50 * time.Millisecond, 13, false}, {200 * time.Millisecond, 0, false}} {
		r := newRoom(t, 1)
		x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
		m := plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: subExts,
			Send: &plane.Send{Codecs: []plane.Codec{subVP8}, FEC: parityPT, FECSSRC: paritySSRC}}}}
		v := r.join(0, m)
		s := v.subscribe(x, plane.Subscription{})
		for i := range 600 {
			x.send(append(bytes.Clone(vp8Key), make([]byte, 100+i)...), true)
			x.ts += 3000
			r.run(8 * time.Millisecond)
			if i%50 == 10 {
				lsr := uint32(anchor.NTP(r.now.Add(-c.rtt)) >> 16)
				v.rawRTCP(rtcp.AppendRR(nil, 77, []rtcp.Block{{SSRC: s.SSRC, Fraction: c.lost, LSR: lsr}}))
			}
		}
		media := map[uint16][]byte{}
		var parities [][]byte
		for _, g := range v.got {
			if g.rtcp {
				continue
			}
			var h rtp.Header
			if rtp.Parse(g.b, &h) != rtp.OK {
				t.Fatal("no RTP")
			}
			switch h.SSRC {
			case s.SSRC:
				media[h.Seq] = g.b
			case paritySSRC:
				if h.PayloadType != parityPT || len(g.b)+16 > 1232 {
					t.Fatalf("%+v, %d bytes", h, len(g.b))
				}
				parities = append(parities, g.b[h.PayloadOff:h.PayloadEnd])
			}
		}
		t.Logf("%v, %d/256 lost: %d parity packets for %d", c.rtt, c.lost, len(parities), len(media))
		if (len(parities) > 0) != c.want {
			t.Errorf("%d parity packets", len(parities))
		}
		mut := fec.Mutable{TransportCC: subExts[plane.ExtTransportCC], AbsSendTime: subExts[plane.ExtAbsSendTime]}
		for i, b := range parities {
			var h fec.Header
			if !fec.Parse(b, &h) || h.SSRC != s.SSRC {
				t.Fatalf("%+v", h)
			}
			var sum fec.Sum
			sum.AddParity(b, &h)
			lost := -1
			for k := range h.Span() {
				if !h.Has(k) {
					continue
				}
				if lost < 0 {
					lost = k
					continue
				}
				sum.Add(media[h.Base+uint16(k)], nil, &mut)
			}
			out := make([]byte, 1600)
			n, ok := sum.Packet(out, h.Base+uint16(lost), s.SSRC)
			var a, b rtp.Header
			orig := media[h.Base+uint16(lost)]
			if !ok || rtp.Parse(out[:n], &a) != rtp.OK || rtp.Parse(orig, &b) != rtp.OK || a.TS != b.TS || a.PayloadType != b.PayloadType ||
				!bytes.Equal(out[a.PayloadOff:a.PayloadEnd], orig[b.PayloadOff:b.PayloadEnd]) {
				t.Fatalf("parity %d does not make packet %d", i, h.Base+uint16(lost))
			}
		}
	}
}
