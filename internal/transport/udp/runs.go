package udp

// Bounds of one GSO message: the kernel's UDP_MAX_SEGMENTS and the largest IPv4
// UDP payload.
const (
	maxSegments = 64
	maxPayload  = 65507
)

// DefaultMaxPad is how many bytes a packet may be padded to join a run.
// libwebrtc splits a frame as n, n, n+1, n+1, so one byte is the usual need; 16
// also joins neighbouring frames of nearly equal cut. Larger wastes bandwidth,
// smaller wastes a send (about 1.5 us, see the design notes on GSO).
const DefaultMaxPad = 16

// Run is a stretch of packets to one destination that leaves as one message.
// Every packet but the last is SegSize bytes; those smaller are to be padded up
// to it by RTP padding (RFC 3550, section 5.1). The last may be shorter.
type Run struct {
	First, Count int
	SegSize      int // 0 when Count is 1
	Bytes        int // with padding
	Padded       int // how many packets need padding
}

// Planner cuts packets into runs.
type Planner struct {
	MaxPad int // at most 255, the most RTP padding can say
}

// PlanRuns plans with [DefaultMaxPad]. sizes are datagram sizes as they will be
// on the wire; padOK says which may be padded (nil: none). Runs are appended to
// out; they cover all packets in order.
func PlanRuns(sizes []int, padOK []bool, out []Run) []Run {
	return Planner{MaxPad: DefaultMaxPad}.Plan(sizes, padOK, out)
}

// Plan is [PlanRuns] with this planner's bound. Taking each run as long as it
// can be gives the fewest runs, since any part of a possible run is possible.
func (p Planner) Plan(sizes []int, padOK []bool, out []Run) []Run {
	for first := 0; first < len(sizes); {
		r := p.longest(sizes, padOK, first)
		out = append(out, r)
		first += r.Count
	}
	return out
}

// longest grows one run from first. It keeps the least size of all packets but
// the newest, and of those that must not be padded, so that adding a packet is
// one comparison each.
func (p Planner) longest(sizes []int, padOK []bool, first int) Run {
	seg := sizes[first]            // largest size so far
	low, fixed := sizes[first], -1 // least; size of the unpaddable (all equal)
	if !paddable(padOK, first) {
		fixed = sizes[first]
	}
	n := 1
	for first+n < len(sizes) && n < maxSegments {
		size := sizes[first+n]
		grown := max(seg, size)
		if grown-low > p.MaxPad || fixed >= 0 && fixed != grown || n*grown+size > maxPayload {
			break
		}
		seg = grown
		low = min(low, size)
		if !paddable(padOK, first+n) && (fixed < 0 || size < fixed) {
			fixed = size
		}
		n++
	}
	return measure(sizes, first, n, seg)
}

func paddable(padOK []bool, i int) bool { return i < len(padOK) && padOK[i] }

func measure(sizes []int, first, n, seg int) Run {
	r := Run{First: first, Count: n, SegSize: seg, Bytes: (n-1)*seg + sizes[first+n-1]}
	if n == 1 {
		r.SegSize = 0
		return r
	}
	for _, size := range sizes[first : first+n-1] {
		if size < seg {
			r.Padded++
		}
	}
	return r
}
