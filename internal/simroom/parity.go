package simroom

import (
	"encoding/binary"

	"parley/internal/base/clock"
	"parley/internal/media/fec"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

const (
	upFEC, downFEC = 98, 113
	// Publishers protect as browsers do under such loss: one packet in five is
	// parity, packets by turns in eight sets.
	protectSets, protectEach = 8, 4
)

// mender makes lost packets out of parity at the far end of a hop.
type mender struct {
	media  uint32
	parity uint32
	m      fec.Mutable
	have   map[uint16][]byte
	order  []uint16
	wait   [][]byte // payloads of parity that lacks more than one
}

func newMender(media, parity uint32, ids *plane.ExtIDs) *mender {
	return &mender{media: media, parity: parity, have: map[uint16][]byte{},
		m: fec.Mutable{TransportCC: ids[plane.ExtTransportCC], AbsSendTime: ids[plane.ExtAbsSendTime]}}
}

// take takes what arrived and returns the packets that it makes possible.
func (x *mender) take(b []byte) (out [][]byte) {
	switch binary.BigEndian.Uint32(b[8:]) {
	case x.media:
		x.keep(b)
	case x.parity:
		if _, payload, ok := parse(b); ok {
			x.wait = append(x.wait, append([]byte(nil), payload...))
		}
	default:
		return nil
	}
	for again := true; again; {
		again = false
		for i, p := range x.wait {
			made, done := x.try(p)
			if made != nil {
				x.keep(made)
				out = append(out, made)
			}
			if done {
				x.wait = append(x.wait[:i], x.wait[i+1:]...)
				again = true
				break
			}
		}
	}
	if len(x.wait) > 32 {
		x.wait = x.wait[1:]
	}
	return out
}

func (x *mender) keep(b []byte) {
	seq := binary.BigEndian.Uint16(b[2:])
	x.have[seq] = append([]byte(nil), b...)
	if x.order = append(x.order, seq); len(x.order) > 512 {
		delete(x.have, x.order[0])
		x.order = x.order[1:]
	}
}

func (x *mender) try(p []byte) (made []byte, done bool) {
	var h fec.Header
	var s fec.Sum
	if !fec.Parse(p, &h) || !s.AddParity(p, &h) {
		return nil, true
	}
	lost, n := uint16(0), 0
	for i := range h.Span() {
		if !h.Has(i) {
			continue
		}
		if b := x.have[h.Base+uint16(i)]; b != nil {
			s.Add(b, nil, &x.m)
			continue
		}
		lost = h.Base + uint16(i)
		n++
	}
	if n != 1 {
		return nil, n == 0
	}
	out := make([]byte, 1600)
	k, ok := s.Packet(out, lost, x.media)
	if !ok {
		return nil, true
	}
	return out[:k], true
}

// protection is a publisher's.
type protection struct {
	ssrc uint32
	seq  uint16
	next int
	sets [protectSets]fec.Encoder
}

// protect adds a media packet as it was written and sends parity when a set is
// complete.
func (u *Publisher) protect(now clock.Time, s *sender, b []byte, ts uint32) {
	x := u.parity
	if x == nil || s.rtx == 0 {
		return
	}
	c := &x.sets[x.next%protectSets]
	x.next++
	if c.Count() == 0 {
		c.Begin(s.ssrc)
	}
	m := fec.Mutable{TransportCC: upExts[plane.ExtTransportCC], AbsSendTime: upExts[plane.ExtAbsSendTime]}
	c.Add(s.seq-1, b, nil, &m)
	if c.Count() < protectEach {
		return
	}
	var buf [1600]byte
	var w rtp.Writer
	w.Begin(buf[:], &rtp.Fields{PayloadType: upFEC, Seq: x.seq, TS: ts, SSRC: x.ssrc}, false)
	w.Add(upExts[plane.ExtMID], []byte(s.mid))
	w.Add(upExts[plane.ExtTransportCC], []byte{byte(u.twSeq >> 8), byte(u.twSeq)})
	n := w.End()
	n += c.Put(buf[n:])
	c.Begin(s.ssrc)
	x.seq++
	u.sent(now, n)
	u.peer.Up.send(now, buf[:n])
}
