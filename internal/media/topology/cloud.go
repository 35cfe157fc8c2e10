package topology

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// Env is what recipes that end RTCP need from outside.
type Env struct {
	Anchor   clock.Anchor // for NTP timestamps in sender reports
	Random32 func() uint32
}

// Slot is a stream to a party that shows one source after another.
type Slot struct{ SSRC, RTXSSRC uint32 }

// Party is one leg of a recipe that ends RTCP there.
type Party struct {
	Leg     graph.LegID
	SSRC    uint32 // ours on the leg, for reports and requests
	CNAME   string // ours on the leg
	Rsize   bool   // RFC 5506 agreed
	Kbps    int    // session bandwidth, for RTCP's share; 0: 1500
	Section stream.Section
	Slots   []Slot
}

// Input is what a leg sends.
type Input struct {
	Track graph.TrackID
	Leg   graph.LegID
	SSRC  uint32
	SrcID uint32 // conference-wide source id, for CSRC
	Kind  plane.Kind
	CNAME string // alias of the origin
	Info  stream.Info
}

// cloud is the common part of recipes in which every leg is an RTP session of
// its own that ends here: reception and its reports, slots, requests upward. It
// decides nothing about who is shown.
type cloud struct {
	anonymous bool // no source is named: neither CSRC nor its SDES and BYE
	env       stream.Env
	parties   []*party
	inputs    []*input
	index     []*input       // by TrackID
	work      []graph.Packet // scratch: the batch as the ingress sees it
	from      []*input       // scratch: the input of each
	asking    bool           // for a switch, not for a loss
	reviewAt  clock.Time
}

type party struct {
	Party
	egress stream.Egress
	slots  []*slot
	due    clock.Time // next regular report
	last   clock.Time // report
	told   map[uint32]bool
}

type slot struct {
	proj  *stream.Projection
	limit uint64 // TMMBR, bit/s; 0: none
}

func newCloud(e Env, anonymous bool) *cloud {
	c := &cloud{anonymous: anonymous}
	c.env = stream.Env{Anchor: e.Anchor, Random32: e.Random32, Up: c, ReportSoon: c.reportSoon}
	return c
}

// AddParty opens a leg with its slots, empty.
func (c *cloud) AddParty(now clock.Time, p Party) {
	if c.party(p.Leg) != nil {
		return
	}
	x := &party{Party: p, told: map[uint32]bool{}}
	x.egress = stream.Egress{Leg: p.Leg, Env: &c.env, Ready: true}
	for _, s := range p.Slots {
		proj := x.egress.Add(s.SSRC, s.RTXSSRC)
		proj.Slot, proj.CNAME = true, p.CNAME // slots live on our own clock
		x.slots = append(x.slots, &slot{proj: proj})
	}
	c.parties = append(c.parties, x)
	c.plan(now, x)
}

// Configure takes over a leg's section after its renegotiation.
func (c *cloud) Configure(now clock.Time, leg graph.LegID, s stream.Section) {
	if p := c.party(leg); p != nil {
		p.Section = s
		for _, x := range p.slots {
			x.proj.Attach(now, x.proj.Source(), &p.Section)
		}
	}
}

// RemoveParty says BYE on the leg and ends what it sent.
func (c *cloud) RemoveParty(now clock.Time, leg graph.LegID, out *graph.Batch) {
	p := c.party(leg)
	if p == nil {
		return
	}
	for _, x := range slices.Clone(c.inputs) {
		if x.Leg == leg {
			c.RemoveInput(now, x.Track, out)
		}
	}
	gone := []uint32{p.SSRC}
	for _, s := range p.slots {
		gone = append(gone, s.proj.SSRC)
	}
	p.bye(out, gone...)
	c.parties = slices.DeleteFunc(c.parties, func(x *party) bool { return x == p })
}

// AddInput makes a source known.
func (c *cloud) AddInput(i Input) {
	if c.input(i.Track) != nil {
		return
	}
	if c.anonymous { // nothing of the source is carried but its payload
		i.SrcID, i.CNAME, i.Info.Exts = 0, "", plane.ExtIDs{}
	}
	for int(i.Track) >= len(c.index) {
		c.index = append(c.index, nil)
	}
	c.index[i.Track] = newInput(i)
	c.inputs = append(c.inputs, c.index[i.Track])
}

// RemoveInput ends a source; listeners are told by its CSRC, the slots stay.
func (c *cloud) RemoveInput(now clock.Time, t graph.TrackID, out *graph.Batch) {
	x := c.input(t)
	if x == nil {
		return
	}
	c.index[t] = nil
	c.inputs = slices.DeleteFunc(c.inputs, func(y *input) bool { return y == x })
	for _, p := range c.parties {
		for _, s := range p.slots {
			if s.proj.Source() == x.src {
				s.proj.Attach(now, nil, &p.Section)
			}
		}
		if p.told[x.SrcID] {
			delete(p.told, x.SrcID)
			p.bye(out, x.SrcID)
		}
	}
	x.src.Close()
}

// show points a slot of a leg at a source; never at the leg's own.
func (c *cloud) show(now clock.Time, p *party, i int, x *input) {
	if i >= len(p.slots) || x.Leg == p.Leg {
		return
	}
	c.asking = true
	p.slots[i].proj.Attach(now, x.src, &p.Section)
	c.asking = false
	if !c.anonymous {
		p.told[x.SrcID] = true
	}
}

func (c *cloud) party(leg graph.LegID) *party {
	for _, p := range c.parties {
		if p.Leg == leg {
			return p
		}
	}
	return nil
}

func (c *cloud) input(t graph.TrackID) *input {
	if int(t) < len(c.index) {
		return c.index[t]
	}
	return nil
}

// HandleBatch implements [graph.Element]: leg by leg, as package graph asks.
func (c *cloud) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	c.work, c.from = c.work[:0], c.from[:0]
	for i := range in {
		if x := c.input(in[i].Track); x != nil {
			if p := in[i]; x.receive(now, &p) {
				c.work, c.from = append(c.work, p), append(c.from, x)
			}
		}
	}
	for _, p := range c.parties {
		for i := range c.work {
			for _, s := range p.slots {
				if x := c.from[i]; s.proj.Takes(x.src) {
					s.proj.Forward(now, &c.work[i], x.src, out)
				}
			}
		}
	}
}
