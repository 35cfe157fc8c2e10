package ssm

import (
	"time"

	"parley/internal/base/clock"
)

// Tmin of AVP, and the least with AVPF for regular reports of a group.
const Tmin = 5 * time.Second

// compensation makes up for what reconsideration does to the mean (RFC 3550,
// section 6.3.1): e − 3/2.
const compensation = 1.21828

// Share says what the members of a session report with (rule C3).
type Share struct {
	Bandwidth int // of the session, bytes per second
	Members   int
	Senders   int
	Average   int // RTCP packet size in bytes
	WeSend    bool
	Min       time.Duration // 0: Tmin
}

// Deterministic returns Td: 5 % of the session bandwidth, a quarter of it for
// the senders while they are a quarter of the members at most.
func (s Share) Deterministic() time.Duration {
	bw, n := float64(s.Bandwidth)/20, float64(s.Members)
	if s.Senders > 0 && 4*s.Senders <= s.Members {
		if s.WeSend {
			bw, n = bw/4, float64(s.Senders)
		} else {
			bw, n = bw*3/4, float64(s.Members-s.Senders)
		}
	}
	least := s.Min
	if least == 0 {
		least = Tmin
	}
	if bw <= 0 {
		return least
	}
	return max(least, time.Duration(n*float64(s.Average)/bw*float64(time.Second)))
}

// Randomised spreads an interval over [0.5, 1.5], compensated.
func Randomised(td time.Duration, random uint32) time.Duration {
	f := 0.5 + float64(random)/(1<<32)
	return time.Duration(float64(td) * f / compensation)
}

// PerReceiver is the interval of a receiver that was told a bandwidth of its
// own (block 11): whatever the group's size.
func PerReceiver(kbits float64, packet int) time.Duration {
	if kbits <= 0 {
		return time.Hour
	}
	return time.Duration(float64(packet) * 8 / (kbits * 1000) * float64(time.Second))
}

// ditherOf is the time within which early feedback is spread (RFC 4585, section
// 3.5.2): with more members than two, half the interval.
func ditherOf(td time.Duration) time.Duration { return td / 2 }

// Timer decides when a member reports: reconsideration on the way forward and
// back, as members come and go (RFC 3550, sections 6.3.3 to 6.3.6).
type Timer struct {
	Random func() uint32

	last, next clock.Time // tp, tn
	members    int        // pmembers
}

// Start sets the first report: after half the least interval.
func (t *Timer) Start(now clock.Time, s Share) clock.Time {
	half := s
	half.Min = max(s.Min, Tmin) / 2
	t.last, t.members = now, s.Members
	t.next = now.Add(Randomised(half.Deterministic(), t.Random()))
	return t.next
}

// Expired reports whether a report is to be sent now; else the timer goes on
// to a later instant, since the group has grown.
func (t *Timer) Expired(now clock.Time, s Share) bool {
	at := t.last.Add(Randomised(s.Deterministic(), t.Random()))
	t.members = s.Members
	if at > now {
		t.next = at
		return false
	}
	t.last = now
	t.next = now.Add(Randomised(s.Deterministic(), t.Random()))
	return true
}

// Next returns when to look again.
func (t *Timer) Next() clock.Time { return t.next }

// Shrunk takes reverse reconsideration when members have left.
func (t *Timer) Shrunk(now clock.Time, members int) {
	if t.members == 0 || members >= t.members {
		return
	}
	f := float64(members) / float64(t.members)
	t.next = now.Add(time.Duration(f * float64(t.next.Sub(now))))
	t.last = now.Add(-time.Duration(f * float64(now.Sub(t.last))))
	t.members = members
}
