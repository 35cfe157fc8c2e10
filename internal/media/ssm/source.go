package ssm

import (
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// Mode is how the group learns of its receivers.
type Mode uint8

// Modes (RFC 5760, section 4).
const (
	Summary    Mode = iota + 1 // a=rtcp-unicast:rsi
	Reflection                 // a=rtcp-unicast:reflection
)

// Caps: what strangers may cost. Receivers need no permission to report.
const (
	maxReceivers = 20000
	maxCompound  = 1400
	maxCollided  = 62
	lossBuckets  = 16
)

// receiverTimeout is five times the least interval (rule C4), or five of the
// group's own when that is longer.
const receiverTimeout = 5 * Tmin

// Config of a [Source].
type Config struct {
	Mode       Mode
	SSRC       uint32 // our own: the distribution source's
	Summarised uint32 // the media sender that receivers report about
	CNAME      string
	Bandwidth  int // of the session, bytes per second
	// Hide tells receivers their bandwidth (block 11) in place of the group's size
	// (block 12).
	Hide bool
}

// Source is a distribution source and its feedback target.
type Source struct {
	cfg       Config
	receivers map[key]*receiver
	ssrcs     map[uint32]*receiver // the first of each SSRC
	order     []*receiver          // in order of appearance
	collided  []uint32
	average   float64 // size of receivers' compounds
	Counters
}

// Counters of what receivers sent.
type Counters struct {
	Reports, Bad, Foreign, Full uint64
}

// key is a receiver: SSRC and CNAME, since two may have chosen one SSRC.
type key struct {
	ssrc  uint32
	cname string
}

type receiver struct {
	key
	at       clock.Time
	block    rtcp.Block
	reported bool
	gone     bool
}

// New makes a source.
func New(c Config) *Source {
	return &Source{cfg: c, receivers: map[key]*receiver{}, ssrcs: map[uint32]*receiver{}}
}

// HandleReport takes one compound of a receiver, which came by unicast. The
// result is what the group is sent of it at once: the compound as it is with
// reflection, nothing with summary.
func (s *Source) HandleReport(now clock.Time, b []byte) []byte {
	if len(b) > maxCompound {
		s.Bad++
		return nil
	}
	k, blocks, left, ok := s.read(b)
	if !ok {
		s.Bad++
		return nil
	}
	s.Reports++
	if s.average == 0 {
		s.average = float64(len(b))
	}
	s.average += (float64(len(b)+28) - s.average) / 16 // with IP and UDP, RFC 3550, section 6.3.3
	r := s.note(now, k)
	switch {
	case r == nil:
		return nil
	case left:
		s.remove(r)
	default:
		for _, x := range blocks {
			if x.SSRC == s.cfg.Summarised {
				r.block, r.reported = x, true
			}
		}
	}
	if s.cfg.Mode == Reflection {
		return b
	}
	return nil
}

// read takes a compound apart. Blocks of SRs are left out: senders receive by
// other ways than the receivers (RFC 5760, section 7.1.3).
func (s *Source) read(b []byte) (k key, blocks []rtcp.Block, left, ok bool) {
	var p rtcp.Packet
	first := true
	it := rtcp.Parse(b)
	for it.Next(&p) {
		switch p.Type {
		case rtcp.TypeSR, rtcp.TypeRR:
			if first {
				k.ssrc, ok = p.Sender()
			}
			for i := range p.Blocks() {
				if p.Type == rtcp.TypeRR {
					blocks = append(blocks, p.Block(i))
				}
			}
		case rtcp.TypeSDES:
			p.CNAME(func(ssrc uint32, name []byte) {
				if ssrc == k.ssrc {
					k.cname = string(name)
				}
			})
		case rtcp.TypeBYE:
			left = true
		}
		first = false
	}
	return k, blocks, left, ok && !it.Bad()
}

// note finds or makes a receiver; nil when there are too many.
func (s *Source) note(now clock.Time, k key) *receiver {
	r := s.receivers[k]
	if r == nil && k.cname == "" { // without CNAME it may be one we know
		r = s.ssrcs[k.ssrc]
	}
	if r == nil {
		if len(s.receivers) >= maxReceivers {
			s.Full++
			return nil
		}
		r = &receiver{key: k}
		s.collide(r)
		s.receivers[k] = r
		s.order = append(s.order, r)
	}
	r.at = now
	return r
}

// collide notes a second CNAME under one SSRC (block 8).
func (s *Source) collide(r *receiver) {
	switch o := s.ssrcs[r.ssrc]; {
	case o == nil:
		s.ssrcs[r.ssrc] = r
	case o.cname == "": // it had not told its name
	case !slices.Contains(s.collided, r.ssrc) && len(s.collided) < maxCollided:
		s.collided = append(s.collided, r.ssrc)
	}
}

func (s *Source) remove(r *receiver) {
	r.gone = true
	delete(s.receivers, r.key)
	if s.ssrcs[r.ssrc] == r {
		delete(s.ssrcs, r.ssrc)
	}
}

// Size returns how many receivers there are.
func (s *Source) Size() int { return len(s.receivers) }

// Interval is the time between summaries: that of a single sender's share, since
// the source has it for itself.
func (s *Source) Interval() time.Duration {
	return Share{Bandwidth: s.cfg.Bandwidth, Members: 1, Senders: 1, Average: maxCompound / 4, WeSend: true}.Deterministic()
}

// Share is what a receiver computes its interval from.
func (s *Source) Share() Share {
	return Share{Bandwidth: s.cfg.Bandwidth, Members: s.Size() + 1, Senders: 1, Average: s.packet()}
}

// packet is the average size told, rounded up: receivers that follow it meet
// their share on the mean, and half of all groups would go beyond it by chance.
func (s *Source) packet() int { return max(64, (int(s.average)+16)&^15) }

// expire forgets receivers that ceased to report.
func (s *Source) expire(now clock.Time) {
	limit := max(receiverTimeout, 5*s.Share().Deterministic())
	keep := s.order[:0]
	for _, r := range s.order {
		if !r.gone && now.Sub(r.at) > limit {
			s.remove(r)
		}
		if !r.gone {
			keep = append(keep, r)
		}
	}
	clear(s.order[len(keep):])
	s.order = keep
}

// AppendSummary appends the regular compound of the group: RR, SDES and, with
// Summary, the RSI.
func (s *Source) AppendSummary(now clock.Time, ntp uint64, b []byte) []byte {
	s.expire(now)
	b = rtcp.AppendRR(b, s.cfg.SSRC, nil)
	b = rtcp.AppendSDES(b, s.cfg.SSRC, s.cfg.CNAME)
	if s.cfg.Mode != Summary {
		return b
	}
	r := rtcp.RSI{Sender: s.cfg.SSRC, Summarised: s.cfg.Summarised, NTP: ntp, Collisions: s.collided}
	if s.cfg.Hide {
		r.Bandwidth = &rtcp.Bandwidth{Receivers: true, KBits: s.perReceiver()}
	} else {
		r.Group = &rtcp.Group{Size: uint32(s.Size()), Packet: uint16(min(s.packet(), 0xffff))}
	}
	r.Stats = s.stats()
	if d := s.losses(); d != nil {
		r.Distributions = append(r.Distributions, *d)
	}
	s.collided = nil // told once
	return rtcp.AppendRSI(b, &r)
}

// perReceiver is one receiver's part of the receivers' bandwidth in kbit/s, as
// 16.16 fixed point.
func (s *Source) perReceiver() uint32 {
	kbits := float64(s.cfg.Bandwidth) / 20 * 3 / 4 * 8 / 1000 / float64(max(1, s.Size()))
	return uint32(kbits * 65536)
}

// stats computes block 10; nil while nobody has reported.
func (s *Source) stats() *rtcp.Stats {
	var fraction []uint8
	var jitter []uint32
	var out rtcp.Stats
	for _, r := range s.order {
		if !r.reported {
			continue
		}
		fraction, jitter = append(fraction, r.block.Fraction), append(jitter, r.block.Jitter)
		out.HighestLost = max(out.HighestLost, uint32(max(0, r.block.Lost)))
	}
	if len(fraction) == 0 {
		return nil
	}
	slices.Sort(fraction)
	slices.Sort(jitter)
	out.MedianFraction, out.MedianJitter = fraction[(len(fraction)-1)/2], jitter[(len(jitter)-1)/2]
	return &out
}

// losses is the histogram of fraction lost (block 4), nil while nobody has
// reported. Counts that would not fit a bucket are scaled.
func (s *Source) losses() *rtcp.Distribution {
	d := &rtcp.Distribution{Type: rtcp.BlockLoss, Max: 256, Buckets: make([]uint16, lossBuckets)}
	counts := make([]int, lossBuckets)
	n, top := 0, 0
	for _, r := range s.order {
		if r.reported {
			i := int(r.block.Fraction) * lossBuckets / 256
			counts[i]++
			n, top = n+1, max(top, counts[i])
		}
	}
	if n == 0 {
		return nil
	}
	for top>>d.Factor > 0xffff {
		d.Factor++
	}
	for i, c := range counts {
		d.Buckets[i] = uint16(c >> d.Factor)
	}
	return d
}

// HandleSender takes the compound of a media sender that feeds the source. Its
// SR, SDES and BYE go to the group as they are (RFC 5760, section 4).
func (s *Source) HandleSender(b []byte) []byte {
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for it.Next(&p) {
		if ssrc, ok := p.Sender(); p.Type == rtcp.TypeSR && (!ok || ssrc != s.cfg.Summarised) {
			s.Foreign++
			return nil
		}
	}
	if it.Bad() || len(b) > maxCompound {
		s.Bad++
		return nil
	}
	return b
}
