// Package flexfec holds the server's parity against another implementation of
// the same draft.
package flexfec

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pion/interceptor/pkg/flexfec"
	"github.com/pion/rtp"

	"parley/internal/media/fec"
)

// TestParityOfAnother: what Pion's encoder makes, of up to the 109 packets that a
// mask has room for, repairs any one loss a packet of it here, and is what is made here of the same
// packets.
func TestParityOfAnother(t *testing.T) {
	const seed, media = 7, 0x1234
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	repaired, spans := 0, map[int]bool{}
	for round := range 200 {
		n, parities := 2+r.IntN(107), 1+r.IntN(4)
		base := uint16(r.Uint32())
		enc := flexfec.NewFlexEncoder03(118, 0xFEC)
		var ps []rtp.Packet
		raw := map[uint16][]byte{}
		for i := range n {
			p := rtp.Packet{Header: rtp.Header{Version: 2, Marker: r.IntN(3) == 0, PayloadType: 96, SequenceNumber: base + uint16(i), Timestamp: r.Uint32(), SSRC: media},
				Payload: make([]byte, 1+r.IntN(1100))}
			for k := range p.Payload {
				p.Payload[k] = byte(r.Uint32())
			}
			b, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			raw[p.SequenceNumber] = b
			ps = append(ps, p)
		}
		for _, q := range enc.EncodeFec(ps, uint32(parities)) {
			var h fec.Header
			if !fec.Parse(q.Payload, &h) || h.SSRC != media || h.Count() == 0 {
				t.Fatalf("round %d, %d packets, %d parity: % x", round, n, parities, q.Payload[:min(40, len(q.Payload))])
			}
			spans[h.Len] = true
			var of []uint16
			for i := range h.Span() {
				if h.Has(i) {
					of = append(of, h.Base+uint16(i))
				}
			}
			var own fec.Encoder
			own.Begin(media)
			for _, seq := range of {
				own.Add(seq, raw[seq], nil, &fec.Mutable{})
			}
			made := make([]byte, own.Len())
			own.Put(made)
			var mine fec.Header // its base is the lowest that is protected, Pion's that of the block
			if !fec.Parse(made, &mine) || !bytes.Equal(made[:8], q.Payload[:8]) || !bytes.Equal(made[mine.Len:], q.Payload[h.Len:]) {
				t.Fatalf("round %d: ours differs\n% x\n% x", round, made[:32], q.Payload[:32])
			}
			lost := of[r.IntN(len(of))]
			var s fec.Sum
			s.AddParity(q.Payload, &h)
			for _, seq := range of {
				if raw[seq] == nil {
					t.Fatalf("%d was never made", seq)
				}
				if seq != lost {
					s.Add(raw[seq], nil, &fec.Mutable{})
				}
			}
			out := make([]byte, 1600)
			k, ok := s.Packet(out, lost, media)
			if !ok || !bytes.Equal(out[:k], raw[lost]) {
				t.Fatalf("round %d: packet %d of %d is not what was lost", round, lost-base, n)
			}
			repaired++
		}
	}
	t.Logf("%d repaired, headers of %v octets", repaired, spans)
	if len(spans) != 3 {
		t.Errorf("not all lengths of masks: %v", spans)
	}
}
