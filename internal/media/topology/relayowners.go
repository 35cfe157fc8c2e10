package topology

import (
	"encoding/binary"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

// relayOwners is the table of rule C7 for a relay: which leg an SSRC came from
// first. It blunts that holders of a group key can speak for each other, and
// breaks loops.
type relayOwners struct {
	by    map[uint32]*relayOwner
	drops *RelayDrops
}

// RelayDrops counts what was not relayed.
type RelayDrops struct {
	Stranger  uint64 // from no leg of this relay
	Spoofed   uint64 // an SSRC that belongs to another leg: impersonation or collision
	Looped    uint64 // a packet that came by another leg already
	Malformed uint64
	TooMany   uint64 // more SSRCs than a leg may have
}

type relayOwner struct {
	leg   graph.LegID
	heard clock.Time
	sent  uint64      // turn of the last forwarded packet
	seen  [256]uint32 // last sequence numbers plus one, by their low bits
	name  string      // CNAME
}

const (
	relaySSRCs = 64               // per leg
	memberGone = 30 * time.Second // rule C4: 5·Td and one report interval
)

// claim returns the owner of an SSRC if it is this leg, making it so when
// nobody is.
func (t *relayOwners) claim(now clock.Time, leg graph.LegID, ssrc uint32) *relayOwner {
	o := t.by[ssrc]
	if o == nil {
		n := 0
		for _, x := range t.by {
			if x.leg == leg {
				n++
			}
		}
		if n >= relaySSRCs {
			t.drops.TooMany++
			return nil
		}
		o = &relayOwner{leg: leg}
		t.by[ssrc] = o
	}
	if o.leg != leg {
		return nil
	}
	o.heard = now
	return o
}

// media checks an RTP packet; nil if it must not pass.
func (t *relayOwners) media(now clock.Time, leg graph.LegID, h *rtp.Header) *relayOwner {
	slot := h.Seq & 255
	if o := t.by[h.SSRC]; o != nil && o.leg != leg {
		if o.seen[slot] == uint32(h.Seq)+1 {
			t.drops.Looped++
		} else {
			t.drops.Spoofed++
		}
		return nil
	}
	o := t.claim(now, leg, h.SSRC)
	if o != nil {
		o.seen[slot] = uint32(h.Seq) + 1
	}
	return o
}

// control checks a compound. Without keys only its first eight bytes can be
// read (SRTCP), with keys all of it.
func (t *relayOwners) control(now clock.Time, leg graph.LegID, b []byte, keys bool) bool {
	if len(b) < 8 || b[0]>>6 != 2 {
		t.drops.Malformed++
		return false
	}
	if !keys {
		return t.own(now, leg, binary.BigEndian.Uint32(b[4:]))
	}
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for it.Next(&p) {
		if s, ok := p.Sender(); ok && !t.own(now, leg, s) {
			return false
		}
		p.CNAME(func(ssrc uint32, name []byte) {
			if o := t.by[ssrc]; p.Type == rtcp.TypeSDES && o != nil && o.leg == leg && o.name != string(name) {
				o.name = string(name)
			}
		})
	}
	if it.Bad() {
		t.drops.Malformed++
		return false
	}
	for it = rtcp.Parse(b); it.Next(&p); {
		for i := range int(p.Count) {
			s, ok := p.ByeSSRC(i)
			if ok && !t.own(now, leg, s) {
				return false // nobody says goodbye for another
			}
			if ok {
				delete(t.by, s)
			}
		}
	}
	return true
}

func (t *relayOwners) own(now clock.Time, leg graph.LegID, ssrc uint32) bool {
	if o := t.by[ssrc]; o != nil && o.leg != leg {
		t.drops.Spoofed++
		return false
	}
	return t.claim(now, leg, ssrc) != nil
}

func (t *relayOwners) release(leg graph.LegID) {
	for s, o := range t.by {
		if o.leg == leg {
			delete(t.by, s)
		}
	}
}

func (t *relayOwners) expire(now clock.Time) (next clock.Time) {
	for s, o := range t.by {
		if end := o.heard.Add(memberGone); now >= end {
			delete(t.by, s)
		} else {
			next = clock.Earliest(next, end)
		}
	}
	return next
}

// goodbye writes one compound with a BYE for all that was forwarded to a leg.
// It is led by a report of one of those SSRCs, since none is the relay's own.
func (t *relayOwners) goodbye(l relayLeg) []byte {
	var gone []uint32
	for s, o := range t.by {
		if o.leg != l.id && o.sent > l.since {
			gone = append(gone, s)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	b := rtcp.AppendSDES(rtcp.AppendRR(nil, gone[0], nil), gone[0], t.by[gone[0]].name)
	for len(gone) > 0 {
		n := min(len(gone), rtcp.MaxBlocks)
		b = rtcp.AppendBYE(b, gone[:n]...)
		gone = gone[n:]
	}
	return b
}
