package ssm

import (
	"encoding/binary"
	"net/netip"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

const (
	// What a burst may begin with: the last refresh point, not further back than
	// this; more costs memory for each group.
	maxBurstPackets = 2048
	maxBurstBytes   = 4 << 20
	// maxBursts bounds how many late joiners are served at a time.
	maxBursts = 64
	// speedup is how much faster than the group a burst goes: it must catch up
	// while new packets come.
	speedup = 2
	// burstTail is how much longer than planned a burst may go on.
	burstTail = 5 * time.Second
	// audioBack is how far back sound begins, which has no refresh points.
	audioBack = 500 * time.Millisecond
)

// BurstConfig of a [Bursts].
type BurstConfig struct {
	Media  uint32 // SSRC of the stream in the group
	SSRC   uint32 // our own in the unicast sessions
	Format uint8  // retransmission payload type that the description declares
	Rate   int    // of the group, bytes per second
	Video  bool
	Random func() uint32
}

// Bursts serves late joiners of a source-specific group (RFC 6285): each gets
// the packets since the last refresh point as retransmissions (RFC 4588) in a
// unicast session of its own, faster than the group, until it has caught up. A
// caller must know that a joiner is where its request came from: without that
// (RFC 6284), a forged request would aim a burst at somebody else.
type Bursts struct {
	cfg   BurstConfig
	kept  []kept
	bytes int
	start uint16 // number of the last refresh point
	runs  map[netip.AddrPort]*burst
}

// kept is one packet of the group.
type kept struct {
	b       []byte
	at      clock.Time
	refresh bool
}

// burst is one joiner.
type burst struct {
	ssrc  uint32
	next  uint16 // original number of the next packet
	seq   uint16
	due   clock.Time
	until clock.Time
	msg   uint8
}

// NewBursts makes a server of bursts.
func NewBursts(c BurstConfig) *Bursts {
	return &Bursts{cfg: c, runs: map[netip.AddrPort]*burst{}}
}

// Sent keeps a packet that went to the group; refresh tells that a decoder can
// begin with it. What came before is kept only for joiners that are not there yet.
func (s *Bursts) Sent(now clock.Time, b []byte, refresh bool) {
	if rtp.Parse(b, new(rtp.Header)) != rtp.OK {
		return
	}
	if refresh || !s.cfg.Video {
		s.start = number(b)
	}
	s.kept = append(s.kept, kept{append([]byte(nil), b...), now, refresh})
	s.bytes += len(b)
	for len(s.kept) > maxBurstPackets || s.bytes > maxBurstBytes || s.spent(now, &s.kept[0]) {
		s.bytes -= len(s.kept[0].b)
		s.kept = s.kept[1:]
	}
	if !s.cfg.Video {
		s.start = number(s.kept[0].b)
	}
}

// spent reports whether nobody needs a packet any more.
func (s *Bursts) spent(now clock.Time, k *kept) bool {
	n := number(k.b)
	for _, run := range s.runs {
		if int16(n-run.next) >= 0 {
			return false
		}
	}
	if s.cfg.Video {
		return int16(n-s.start) < 0
	}
	return now.Sub(k.at) > audioBack
}

// first is the packet that a joiner begins with, nil when it is not kept.
func (s *Bursts) first() *kept {
	for i := range s.kept {
		if k := &s.kept[i]; number(k.b) == s.start && (k.refresh || !s.cfg.Video) {
			return k
		}
	}
	return nil
}

// HandleRequest takes a joiner's compound and returns the answer to it.
func (s *Bursts) HandleRequest(now clock.Time, from netip.AddrPort, compound []byte) []byte {
	var p rtcp.Packet
	for it := rtcp.Parse(compound); it.Next(&p); {
		r, ok := p.ReadRAMS()
		switch {
		case !ok:
		case r.Kind == rtcp.RAMSRequest:
			return s.begin(now, from, &r)
		case r.Kind == rtcp.RAMSTermination:
			delete(s.runs, from)
		}
	}
	return nil
}

func (s *Bursts) begin(now clock.Time, from netip.AddrPort, r *rtcp.RAMS) []byte {
	info := rtcp.RAMS{Sender: s.cfg.SSRC, Media: r.Sender, Kind: rtcp.RAMSInformation, SSRC: s.cfg.Media}
	run, first := s.runs[from], s.first()
	switch {
	case r.Media != s.cfg.Media && r.Media != 0:
		info.Response = rtcp.RAMSInvalid
		return rtcp.AppendRAMS(nil, &info)
	case first == nil || run == nil && len(s.runs) >= maxBursts:
		info.Response = rtcp.RAMSBusy
		return rtcp.AppendRAMS(nil, &info)
	case run == nil: // a repeat of the request does not begin anew
		run = &burst{ssrc: s.cfg.SSRC, next: s.start, seq: uint16(s.cfg.Random()), due: now}
		span := max(now.Sub(first.at), 20*time.Millisecond)
		run.until = now.Add(span * speedup / (speedup - 1))
		s.runs[from] = run
	}
	run.msg++
	info.Response, info.Number, info.First = rtcp.RAMSAccepted, run.msg, run.next
	info.Duration = uint32(run.until.Sub(now).Milliseconds())
	info.Join = info.Duration / 2
	info.Rate = uint64(s.cfg.Rate * speedup * 8)
	return rtcp.AppendRAMS(nil, &info)
}

func number(b []byte) uint16 { return binary.BigEndian.Uint16(b[2:]) }

// Tick sends what is due through f, which must not keep the packet, and returns
// the next instant, zero for none.
func (s *Bursts) Tick(now clock.Time, f func(to netip.AddrPort, b []byte)) (next clock.Time) {
	for to, run := range s.runs {
		for run.due <= now && s.step(run, to, f) {
		}
		if now >= run.until && !s.behind(run) || now >= run.until.Add(burstTail) {
			delete(s.runs, to)
			continue
		}
		next = clock.Earliest(next, max(run.due, now+1))
	}
	return next
}

// behind reports whether the joiner lacks packets that the group has had.
func (s *Bursts) behind(run *burst) bool {
	return len(s.kept) > 0 && int16(number(s.kept[len(s.kept)-1].b)-run.next) >= 0
}

// step sends one packet; false: there is none yet.
func (s *Bursts) step(run *burst, to netip.AddrPort, f func(netip.AddrPort, []byte)) bool {
	for i := range s.kept {
		k := &s.kept[i]
		if int16(number(k.b)-run.next) < 0 {
			continue
		}
		var h rtp.Header
		if rtp.Parse(k.b, &h) != rtp.OK {
			return false
		}
		out := s.retransmission(run, k.b, &h)
		run.next = h.Seq + 1
		run.due = run.due.Add(time.Duration(len(out)) * time.Second / time.Duration(max(1, s.cfg.Rate*speedup)))
		f(to, out)
		return true
	}
	run.due = run.due.Add(5 * time.Millisecond) // it has caught up: as they come
	return false
}

// retransmission wraps a packet (RFC 4588, section 4).
func (s *Bursts) retransmission(run *burst, b []byte, h *rtp.Header) []byte {
	out := make([]byte, 14, 14+len(b))
	out[0], out[1] = 0x80, s.cfg.Format|b[1]&0x80
	binary.BigEndian.PutUint16(out[2:], run.seq)
	run.seq++
	binary.BigEndian.PutUint32(out[4:], h.TS)
	binary.BigEndian.PutUint32(out[8:], run.ssrc)
	binary.BigEndian.PutUint16(out[12:], h.Seq)
	return append(out, b[h.PayloadOff:h.PayloadEnd]...)
}
