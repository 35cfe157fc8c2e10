package simnet

import (
	"container/heap"

	"parley/internal/base/clock"
)

// Endpoint is where a link ends; its meaning is the test's.
type Endpoint int

// Network holds the packets under way on all links of a test.
type Network struct {
	seed  uint64
	links uint64
	count uint64
	queue flights
}

// New makes an empty network. Print the seed when a test fails.
func New(seed uint64) *Network { return &Network{seed: seed} }

// Link is one direction of a path of a network. Its model may be changed.
type Link struct {
	*Model
	net *Network
	to  Endpoint
}

// Link adds a one-way link that ends at an endpoint.
func (n *Network) Link(to Endpoint, cfg Config) *Link {
	n.links++
	return &Link{Model: NewModel(n.seed, n.links, cfg), net: n, to: to}
}

// Share adds a link that ends elsewhere but uses the same model: its packets
// stand in the same queue, as flows do that meet at a bottleneck.
func (n *Network) Share(l *Link, to Endpoint) *Link { return &Link{Model: l.Model, net: n, to: to} }

// Send puts a packet on the link; the payload is copied.
func (l *Link) Send(now clock.Time, payload []byte) { l.SendSized(now, payload, len(payload)) }

// SendSized is Send for a payload that counts as size bytes on the link.
func (l *Link) SendSized(now clock.Time, payload []byte, size int) {
	at, k := l.Fate(now, size)
	for _, t := range at[:k] {
		l.net.count++
		heap.Push(&l.net.queue, flight{at: t, order: l.net.count, to: l.to, payload: append([]byte(nil), payload...)})
	}
}

// Next returns when the next packet arrives, zero when none is under way.
func (n *Network) Next() clock.Time {
	if len(n.queue) == 0 {
		return 0
	}
	return n.queue[0].at
}

// Deliver hands out every packet that has arrived by now, in order of arrival
// (equal instants: in order of sending). The callback may send; what it sends
// over a link without delay is delivered as well. It owns the payload.
func (n *Network) Deliver(now clock.Time, deliver func(to Endpoint, payload []byte)) {
	for len(n.queue) > 0 && !n.queue[0].at.After(now) {
		f := heap.Pop(&n.queue).(flight)
		deliver(f.to, f.payload)
	}
}

// Len returns how many packets are under way.
func (n *Network) Len() int { return len(n.queue) }

// Run drives a test from start to end on the virtual clock: it jumps to the
// next arrival or the instant the tick asked for, whichever is earlier,
// delivers, then ticks. tick returns its next wish, zero for none. Returns end.
func (n *Network) Run(start, end clock.Time, deliver func(now clock.Time, to Endpoint, payload []byte),
	tick func(now clock.Time) clock.Time,
) clock.Time {
	now := start
	for {
		n.Deliver(now, func(to Endpoint, p []byte) { deliver(now, to, p) })
		wish := tick(now)
		if !wish.IsZero() && !wish.After(now) {
			wish = now + 1 // a wish in the past must not stop the clock
		}
		next := clock.Earliest(wish, n.Next())
		if next.IsZero() || next.After(end) {
			return end
		}
		now = max(next, now)
	}
}

type flight struct {
	at      clock.Time
	order   uint64
	to      Endpoint
	payload []byte
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].order < f[j].order
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	old[len(old)-1] = flight{}
	*f = old[:len(old)-1]
	return x
}
