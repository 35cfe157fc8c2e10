package rtcp

import (
	"encoding/binary"
	"net/netip"
)

// TypeRSI is the receiver summary information of a distribution source (RFC
// 5760, section 7.1).
const TypeRSI = 209

// Sub-report blocks of an RSI (RFC 5760, section 7.1.1).
const (
	BlockTarget4   = 0 // feedback target, IPv4
	BlockTarget6   = 1 // feedback target, IPv6
	BlockLoss      = 4
	BlockJitter    = 5
	BlockRTT       = 6
	BlockLost      = 7 // cumulative loss
	BlockCollision = 8
	BlockStats     = 10 // general statistics
	BlockBandwidth = 11
	BlockGroup     = 12 // group size and average packet size
)

// Stats are general statistics over the receivers (block 10).
type Stats struct {
	MedianFraction uint8  // lost
	HighestLost    uint32 // 24 bits
	MedianJitter   uint32
}

// Bandwidth is what each sender or receiver may use for RTCP (block 11).
type Bandwidth struct {
	Senders, Receivers bool
	KBits              uint32 // kbit/s as 16.16 fixed point
}

// Distribution is a histogram of one value over the receivers (blocks 4 to 7;
// RFC 5760, section 7.1.4).
type Distribution struct {
	Type     uint8
	Factor   uint8 // each bucket counts in units of 2^Factor
	Min, Max uint32
	Buckets  []uint16 // 16 bits each as we write them
}

// RSI is a summary as it is written.
type RSI struct {
	Sender, Summarised uint32
	NTP                uint64
	Group              *Group
	Bandwidth          *Bandwidth
	Stats              *Stats
	Distributions      []Distribution
	Collisions         []uint32
	Target             netip.AddrPort // feedback target; invalid: not told
}

// Group is block 12.
type Group struct {
	Size   uint32
	Packet uint16 // average size of an RTCP packet in bytes
}

// AppendRSI appends a summary. At most 62 collisions and 240 buckets a
// distribution are written: a block's length has eight bits.
func AppendRSI(b []byte, r *RSI) []byte {
	at := len(b)
	b = append(b, 0x80, TypeRSI, 0, 0)
	b = put32(put32(b, r.Sender), r.Summarised)
	b = binary.BigEndian.AppendUint64(b, r.NTP)
	if a := r.Target.Addr(); a.Is4() {
		four := a.As4()
		b = append(b, BlockTarget4, 2)
		b = binary.BigEndian.AppendUint16(b, r.Target.Port())
		b = append(b, four[:]...)
	} else if a.Is6() {
		six := a.As16()
		b = append(b, BlockTarget6, 5)
		b = binary.BigEndian.AppendUint16(b, r.Target.Port())
		b = append(b, six[:]...)
	}
	for i := range r.Distributions {
		b = r.Distributions[i].append(b)
	}
	if n := min(len(r.Collisions), 62); n > 0 {
		b = append(b, BlockCollision, uint8(1+n), 0, 0)
		for _, s := range r.Collisions[:n] {
			b = put32(b, s)
		}
	}
	if s := r.Stats; s != nil {
		b = append(b, BlockStats, 3, 0, 0)
		b = put32(b, uint32(s.MedianFraction)<<24|min(s.HighestLost, 0xffffff))
		b = put32(b, s.MedianJitter)
	}
	if w := r.Bandwidth; w != nil {
		flags := uint8(0)
		if w.Senders {
			flags |= 0x80
		}
		if w.Receivers {
			flags |= 0x40
		}
		b = put32(append(b, BlockBandwidth, 2, flags, 0), w.KBits)
	}
	if g := r.Group; g != nil {
		b = append(b, BlockGroup, 2)
		b = put32(binary.BigEndian.AppendUint16(b, g.Packet), g.Size)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16((len(b)-at)/4-1))
	return b
}

// maxBuckets is what we write of one distribution.
const maxBuckets = 240

func (d *Distribution) append(b []byte) []byte {
	n := min(len(d.Buckets), maxBuckets)
	words := 3 + (2*n+3)/4
	b = append(b, d.Type, uint8(words))
	b = binary.BigEndian.AppendUint16(b, uint16(n)<<4|uint16(d.Factor&0x0f))
	b = put32(put32(b, d.Min), d.Max)
	for _, v := range d.Buckets[:n] {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	if n%2 == 1 {
		b = append(b, 0, 0)
	}
	return b
}

// Summary reads the fixed part of an RSI.
func (p *Packet) Summary() (sender, summarised uint32, ntp uint64, ok bool) {
	if p.Type != TypeRSI || len(p.Body) < 16 {
		return 0, 0, 0, false
	}
	return be32(p.Body), be32(p.Body[4:]), binary.BigEndian.Uint64(p.Body[8:]), true
}

// SubBlocks walks the sub-report blocks of an RSI: f gets the type and the
// bytes after type and length. A lying length ends the walk with false.
func (p *Packet) SubBlocks(f func(typ uint8, body []byte)) bool {
	if p.Type != TypeRSI || len(p.Body) < 16 {
		return false
	}
	for b := p.Body[16:]; len(b) > 0; {
		if len(b) < 4 {
			return false
		}
		n := 4 * int(b[1])
		if n < 4 || n > len(b) {
			return false
		}
		f(b[0], b[2:n])
		b = b[n:]
	}
	return true
}

// ReadRSI reads what we know of a summary; false: none, or a broken one.
func (p *Packet) ReadRSI() (r RSI, ok bool) {
	if r.Sender, r.Summarised, r.NTP, ok = p.Summary(); !ok {
		return r, false
	}
	ok = p.SubBlocks(func(typ uint8, b []byte) {
		switch {
		case typ == BlockGroup && len(b) >= 6:
			r.Group = &Group{Packet: binary.BigEndian.Uint16(b), Size: be32(b[2:])}
		case typ == BlockBandwidth && len(b) >= 6:
			r.Bandwidth = &Bandwidth{Senders: b[0]&0x80 != 0, Receivers: b[0]&0x40 != 0, KBits: be32(b[2:])}
		case typ == BlockStats && len(b) >= 10:
			w := be32(b[2:])
			r.Stats = &Stats{MedianFraction: uint8(w >> 24), HighestLost: w & 0xffffff, MedianJitter: be32(b[6:])}
		case typ == BlockCollision:
			for i := 2; i+4 <= len(b); i += 4 {
				r.Collisions = append(r.Collisions, be32(b[i:]))
			}
		case typ == BlockTarget4 && len(b) >= 6:
			r.Target = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[2:6])), binary.BigEndian.Uint16(b))
		case typ == BlockTarget6 && len(b) >= 18:
			r.Target = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[2:18])), binary.BigEndian.Uint16(b))
		case typ >= BlockLoss && typ <= BlockLost && len(b) >= 10:
			r.Distributions = append(r.Distributions, readDistribution(typ, b))
		}
	})
	return r, ok
}

// readDistribution reads buckets of 16 bits; others are left out.
func readDistribution(typ uint8, b []byte) Distribution {
	w := binary.BigEndian.Uint16(b)
	d := Distribution{Type: typ, Factor: uint8(w & 0x0f), Min: be32(b[2:]), Max: be32(b[6:])}
	n := int(w >> 4)
	if n > maxBuckets || 10+2*n > len(b) {
		return d
	}
	for i := range n {
		d.Buckets = append(d.Buckets, binary.BigEndian.Uint16(b[10+2*i:]))
	}
	return d
}
