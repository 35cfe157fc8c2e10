package control

import (
	"cmp"
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// topology is which device is served in which manner. Whatever a manner hangs
// on marks it as due; at the end of the turn every leg is looked at once.
type topology struct {
	m        *Machine
	due      bool
	all      bool            // every leg is to be looked at, else those of fresh
	fresh    []*model.Device // came in this turn
	forced   bool            // chosen by somebody in this turn: no waiting
	reason   string
	arrivals uint64
	arrived  map[*model.Device]uint64 // order in which the present loads came

	direct  bool
	few     clock.Time      // since when there are few enough to talk directly; zero: there are not
	failed  bool            // it was tried with these devices, and did not work
	epoch   uint64          // counts changes of who talks directly
	lacking [2]*fault.Error // why sound and pictures cannot be mixed here; nil: they can
}

const (
	// pairs is how many devices talk directly in auto, and meshed in mesh (MSH-6):
	// beyond that each sends the same picture more often than its uplink bears.
	pairs  = 2
	meshed = 4
	// calm is how long few have to be few before the server's legs are given up:
	// a reload must not bounce a call to and fro.
	calm = 2 * time.Second
	// peerWait is how long a session between devices may take to carry media, and
	// how long the old ones stay while devices connect to the server.
	peerWait = 10 * time.Second
)

// Rewire says that a device's leg is served in another way from now on: make
// the new one before the old one ends.
type Rewire struct {
	Device *model.Device
	Was    model.Leg
}

// ReleaseMedia says that a device needs its connection to the server no more,
// since peers carry its media. Conn is its next one, should it come again.
type ReleaseMedia struct {
	MS        ids.MediaSession
	Old, Conn ids.Connection
}

func (Rewire) effect()       {}
func (ReleaseMedia) effect() {}

// changed asks for a look at every leg at the end of the turn.
func (x *topology) changed(why string) {
	x.all = true
	x.note(why)
}

func (x *topology) note(why string) {
	x.due = true
	if x.reason == "" || why == "set" {
		x.reason = why
	}
}

// settle brings every leg in line with its facts.
func (x *topology) settle(t *turn) {
	if !x.due {
		return
	}
	why, all, fresh := x.reason, x.all, x.fresh
	x.due, x.all, x.fresh, x.reason = false, false, nil, ""
	c := x.m.conf
	if c.Phase != model.Active && c.Phase != model.Ending {
		return
	}
	if !all && x.many() {
		for _, d := range fresh {
			if serving(d) {
				x.apply(t, d, nil, why)
			}
		}
		return
	}
	devs := x.served()
	x.decide(t, devs)
	x.forced = false
	c.Choice = x.choice()
	c.Lacking = ""
	x.lacking = [2]*fault.Error{x.mixer("audio"), x.mixer("video")}
	for _, d := range devs {
		x.apply(t, d, devs, why)
	}
	x.release(t, devs)
}

// many reports that coming and going changes nobody else's leg: there are too
// many to talk directly, and nothing is missed that could be missed no more. A
// large room is not walked through for each who comes.
func (x *topology) many() bool {
	return x.m.users > meshed && !x.direct && x.few.IsZero() && x.m.conf.Lacking == "" &&
		(x.lacking[0] == nil) == (x.mixer("audio") == nil) && (x.lacking[1] == nil) == (x.mixer("video") == nil)
}

func serving(d *model.Device) bool {
	return d.Part.State == model.Joined && d.Status.Live() && d.Session != "" && d.MS != ""
}

// served lists the devices that media is for, in the order they came.
func (x *topology) served() []*model.Device {
	var out []*model.Device
	for _, p := range x.m.conf.Participants {
		if p.State != model.Joined {
			continue
		}
		for _, d := range p.Devices {
			if serving(d) {
				out = append(out, d)
			}
		}
	}
	slices.SortFunc(out, func(a, b *model.Device) int { return cmp.Compare(x.arrived[a], x.arrived[b]) })
	return out
}

// choice is the topology in force for the conference.
func (x *topology) choice() model.Choice {
	p := x.m.cfg.Policy
	return model.Choice{Topology: cmp.Or(p.Topology, api.TopologyAuto), AllowDiscouraged: p.AllowDiscouraged}
}

// apply gives a device the leg that its facts call for and tells it.
func (x *topology) apply(t *turn, d *model.Device, devs []*model.Device, why string) {
	leg, was := x.leg(d), d.Leg
	var peers []*model.Device
	if leg.Manner == model.Direct {
		peers = slices.DeleteFunc(slices.Clone(devs), func(o *model.Device) bool { return o == d })
	}
	same := leg == was && slices.Equal(x.links(d, peers), d.Links)
	told := was != (model.Leg{}) // else the join's result tells
	d.Leg, d.Links = leg, x.links(d, peers)
	if same {
		return
	}
	t.touch(d.Part)
	if told {
		if leg != was {
			t.effect(Rewire{d, was})
		}
		x.inform(t, d, why)
	}
}

// inform tells a device how its media flows, with the members of [api.LegState].
func (x *topology) inform(t *turn, d *model.Device, why string) {
	s := x.state(d)
	fields := map[string]any{"topology": s.Topology, "manner": s.Manner, "reason": why}
	if s.AllowDiscouraged {
		fields["allowDiscouraged"] = true
	}
	if s.Own != "" {
		fields["own"] = s.Own
	}
	if d.Leg.Manner == model.Direct {
		fields["peers"] = append([]api.PeerLink{}, s.Peers...)
	}
	t.tell(d.Session, "topology.changed", fields)
}

// leg is how a device is to be served, and notes when a mixer would do better.
func (x *topology) leg(d *model.Device) model.Leg {
	f := x.facts(d)
	leg := LegOf(f)
	if x.m.cfg.Policy.E2EE {
		return leg // a mixer would not do better: it could not
	}
	f.MixAudio, f.MixVideo = true, true
	if ideal := LegOf(f); ideal != leg {
		missing := x.lacking[1]
		if ideal.Audio != leg.Audio {
			missing = x.lacking[0]
		}
		x.m.conf.Lacking = missing.Message
	}
	return leg
}

func (x *topology) links(d *model.Device, peers []*model.Device) []model.PeerLink {
	var out []model.PeerLink
	for _, o := range peers {
		out = append(out, model.PeerLink{Part: o.Part.ID, Device: o.ID, Load: x.arrived[o], Offer: x.arrived[d] > x.arrived[o]})
	}
	return out
}

// state is what a device is told of its leg.
func (x *topology) state(d *model.Device) api.LegState {
	c := x.choice()
	s := api.LegState{
		Topology: c.Topology, AllowDiscouraged: c.AllowDiscouraged, Own: d.Own.Topology, Manner: string(d.Leg.Manner),
	}
	for _, l := range d.Links {
		s.Peers = append(s.Peers, api.PeerLink{Part: string(l.Part), Dev: string(l.Device), Offer: l.Offer})
	}
	return s
}

// LegState tells how media flows for a session's device; nil: it has none.
func (m *Machine) LegState(s ids.Session) *api.LegState {
	d := m.bySession[s]
	if d == nil || d.Leg.Manner == "" {
		return nil
	}
	out := m.topo.state(d)
	return &out
}

// facts of one leg.
func (x *topology) facts(d *model.Device) LegFacts {
	c := x.choice()
	f := LegFacts{
		Topology: c.Topology, Allowed: c.AllowDiscouraged, Caps: d.Caps, Plain: d.Plain(), Group: d.Group,
		Slots: d.Subscribe == "slots", Direct: x.direct, Weak: d.Weak, Compose: d.Caps.Compose || x.composed(d),
	}
	if d.Own.Topology != "" {
		f.Topology, f.Allowed = d.Own.Topology, d.Own.AllowDiscouraged
	}
	f.MixAudio, f.MixVideo = x.lacking[0] == nil, x.lacking[1] == nil
	if x.m.cfg.Policy.E2EE {
		f.MixAudio, f.MixVideo, f.Direct = false, false, false
	}
	return f
}

// composed reports whether a layout was set that shows several at a time.
func (x *topology) composed(d *model.Device) bool {
	switch cmp.Or(d.Layout.Mode, x.m.conf.Layout.Mode) {
	case "", "automatic", "single-view":
		return false
	}
	return true
}

// mixer tells why a kind cannot be mixed here; nil: it can.
func (x *topology) mixer(kind string) *fault.Error {
	if x.m.cfg.CanMix == nil {
		return fault.New(503, "codec-missing", "this server has no mixer")
	}
	if err := x.m.cfg.CanMix(kind); err != nil {
		return fault.From(err)
	}
	return nil
}
