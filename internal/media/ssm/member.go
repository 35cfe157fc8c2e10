package ssm

import (
	"net/netip"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

// Verdict says what a member made of a packet of the group.
type Verdict uint8

// Verdicts.
const (
	Take      Verdict = iota + 1
	Own               // our own, come back from the group
	Collision         // our SSRC from another source: we have another one now
	Offender          // the same source again: ignored (rule C7)
	BadFormat         // a payload type outside of the group's
	Malformed
)

// Caps: a group's members need no permission.
const (
	maxMembers  = 20000
	maxOffences = 64
	maxPending  = 64
	fewMembers  = 50 // up to here BYE needs no back-off (RFC 3550, section 6.3.7)
)

// MemberConfig of a [Member].
type MemberConfig struct {
	SSRC      uint32
	CNAME     string
	Source    netip.AddrPort // what others see our packets come from
	Formats   []uint8        // the one map of payload types that all share
	Bandwidth int            // of the session, bytes per second
	Random    func() uint32
}

// Member is our part in an any-source group (topologies ASM): who else is
// there, when it is our turn to report, what feedback others have given already,
// and how to leave.
type Member struct {
	cfg     MemberConfig
	members map[uint32]*member
	timer   Timer
	sent    bool // anything, RTP or RTCP: else nobody needs a BYE
	sending bool
	average float64

	offences []netip.AddrPort // sources that used our SSRC
	bye      []byte           // waits for its turn
	byes     int              // others' BYEs heard while it waits
	pending  []feedback

	Collisions, BadFormats, Suppressed uint64
}

type member struct {
	at     clock.Time
	sender bool
}

// feedback is an early NACK that waits for its dither to pass (RFC 4585, section
// 3.5.2).
type feedback struct {
	media uint32
	seq   uint16
	at    clock.Time
}

// NewMember joins.
func NewMember(now clock.Time, c MemberConfig) *Member {
	m := &Member{cfg: c, members: map[uint32]*member{}, average: 120}
	m.timer.Random = c.Random
	m.timer.Start(now, m.share())
	return m
}

// SSRC returns ours; it changes with a collision.
func (m *Member) SSRC() uint32 { return m.cfg.SSRC }

// Size returns how many members there are, us included.
func (m *Member) Size() int { return len(m.members) + 1 }

func (m *Member) share() Share {
	s := Share{Bandwidth: m.cfg.Bandwidth, Members: m.Size(), Average: int(m.average), WeSend: m.sending}
	if m.sending {
		s.Senders++
	}
	for _, x := range m.members {
		if x.sender {
			s.Senders++
		}
	}
	return s
}

// HandleRTP takes one packet of the group. On a collision it returns what is to
// be sent: a BYE for the old SSRC.
func (m *Member) HandleRTP(now clock.Time, from netip.AddrPort, b []byte) (Verdict, []byte) {
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		return Malformed, nil
	}
	if h.SSRC == m.cfg.SSRC {
		return m.foreign(from)
	}
	if !slices.Contains(m.cfg.Formats, h.PayloadType) {
		m.BadFormats++ // nobody can renegotiate with a group
		return BadFormat, nil
	}
	if x := m.note(now, h.SSRC); x != nil {
		x.sender = true
	}
	return Take, nil
}

// foreign handles a packet with our SSRC (RFC 3550, section 8.2).
func (m *Member) foreign(from netip.AddrPort) (Verdict, []byte) {
	switch {
	case from == m.cfg.Source:
		return Own, nil
	case slices.Contains(m.offences, from):
		return Offender, nil
	}
	m.Collisions++
	if len(m.offences) < maxOffences {
		m.offences = append(m.offences, from)
	}
	old := m.cfg.SSRC
	for m.cfg.SSRC == old || m.members[m.cfg.SSRC] != nil || m.cfg.SSRC == 0 {
		m.cfg.SSRC = m.cfg.Random()
	}
	b := rtcp.AppendSDES(rtcp.AppendRR(nil, old, nil), old, m.cfg.CNAME)
	return Collision, rtcp.AppendBYE(b, old)
}

func (m *Member) note(now clock.Time, ssrc uint32) *member {
	x := m.members[ssrc]
	if x == nil {
		if len(m.members) >= maxMembers {
			return nil
		}
		x = &member{}
		m.members[ssrc] = x
	}
	x.at = now
	return x
}

// HandleRTCP takes one compound of the group; the result is to be sent, if any.
func (m *Member) HandleRTCP(now clock.Time, from netip.AddrPort, b []byte) (Verdict, []byte) {
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for it.Next(&p) {
		ssrc, ok := p.Sender()
		switch {
		case !ok:
		case p.Type == rtcp.TypeBYE:
			m.heardBye(now, &p)
		case ssrc == m.cfg.SSRC && (p.Type == rtcp.TypeSR || p.Type == rtcp.TypeRR):
			if v, out := m.foreign(from); v != Own {
				return v, out
			}
			return Own, nil
		case p.Type == rtcp.TypeSR || p.Type == rtcp.TypeRR:
			m.note(now, ssrc)
			m.average += (float64(len(b)+28) - m.average) / 16
		case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtNACK:
			m.heardNACK(&p)
		}
	}
	if it.Bad() {
		return Malformed, nil
	}
	return Take, nil
}

// heardBye forgets members that left. While we wait to say BYE ourselves, only
// those who leave count as members.
func (m *Member) heardBye(now clock.Time, p *rtcp.Packet) {
	for i := 0; ; i++ {
		ssrc, ok := p.ByeSSRC(i)
		if !ok {
			break
		}
		delete(m.members, ssrc)
		if m.bye != nil {
			m.byes++
		}
	}
	if m.bye == nil {
		m.timer.Shrunk(now, m.Size())
	}
}

// heardNACK drops our own feedback that another has given (RFC 4585, section
// 3.5.1): the sender needs to be told once.
func (m *Member) heardNACK(p *rtcp.Packet) {
	media, ok := p.Media()
	if !ok {
		return
	}
	for i := range p.NACKs() {
		pid, blp := p.NACK(i)
		m.pending = slices.DeleteFunc(m.pending, func(f feedback) bool {
			d := f.seq - pid
			same := f.media == media && (d == 0 || d <= 16 && blp>>(d-1)&1 != 0)
			if same {
				m.Suppressed++
			}
			return same
		})
	}
}

// Lost asks for a repair; the request waits a random while, in which another's
// may make it needless.
func (m *Member) Lost(now clock.Time, media uint32, seq uint16) {
	if len(m.pending) >= maxPending {
		return
	}
	dither := ditherOf(m.share().Deterministic())
	if m.Size() <= 2 {
		dither = 0
	}
	at := now.Add(time.Duration(float64(dither) * float64(m.cfg.Random()) / (1 << 32)))
	m.pending = append(m.pending, feedback{media, seq, at})
}

// Sent notes that we sent RTP.
func (m *Member) Sent() { m.sent, m.sending = true, true }

// Tick returns the compounds that are due and the next instant.
func (m *Member) Tick(now clock.Time) (out [][]byte, next clock.Time) {
	m.expire(now)
	m.pending = slices.DeleteFunc(m.pending, func(f feedback) bool {
		if f.at > now {
			next = clock.Earliest(next, f.at)
			return false
		}
		out = append(out, rtcp.AppendNACK(m.head(), m.cfg.SSRC, f.media, []uint16{f.seq}))
		m.sent = true
		return true
	})
	if m.timer.Next() <= now {
		if m.timer.Expired(now, m.turn()) {
			out = append(out, m.report()...)
		}
	}
	return out, clock.Earliest(next, m.timer.Next())
}

// turn is what the timer counts with: among those who leave, while we do.
func (m *Member) turn() Share {
	s := m.share()
	if m.bye != nil {
		s.Members, s.Senders, s.WeSend, s.Average = m.byes+1, 0, false, len(m.bye)+28
	}
	return s
}

func (m *Member) report() [][]byte {
	b := m.bye
	if m.bye != nil {
		m.bye, m.timer.next = nil, 0
		return [][]byte{b}
	}
	m.sent = true
	return [][]byte{m.head()}
}

func (m *Member) head() []byte {
	return rtcp.AppendSDES(rtcp.AppendRR(nil, m.cfg.SSRC, nil), m.cfg.SSRC, m.cfg.CNAME)
}

// expire forgets those not heard of for five intervals (rule C4).
func (m *Member) expire(now clock.Time) {
	limit := 5 * max(Tmin, m.share().Deterministic())
	for ssrc, x := range m.members {
		if now.Sub(x.at) > limit {
			delete(m.members, ssrc)
		}
	}
}

// Leave says BYE: at once in a small group, under back-off in a large one, and
// not at all when nobody has heard of us (RFC 3550, section 6.3.7). The result
// is to be sent now; next is when to Tick for the rest, zero when done.
func (m *Member) Leave(now clock.Time) (out []byte, next clock.Time) {
	m.pending = nil
	if !m.sent {
		m.timer.next = 0
		return nil, 0
	}
	bye := rtcp.AppendBYE(m.head(), m.cfg.SSRC)
	if m.Size() <= fewMembers {
		m.timer.next = 0
		return bye, 0
	}
	m.bye, m.byes = bye, 0
	m.timer.last, m.timer.members = now, 1
	m.timer.next = now.Add(Randomised(m.turn().Deterministic(), m.cfg.Random()))
	return nil, m.timer.next
}
