package control

import (
	"cmp"
	"slices"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// instead names what is better than a topology that the standards advise
// against (RFC 7667, sections 3.8 and 3.11; RFC 8834, section 3).
var instead = map[string]string{
	api.TopologyVideoSwitching: api.TopologySwitch,
	api.TopologyAsymmetric:     api.TopologyHybrid,
	api.TopologyRelay:          api.TopologySFU,
}

// Instead returns what is better than a discouraged topology; empty: it is not
// discouraged.
func Instead(topology string) string { return instead[topology] }

// check refuses a topology that is unknown, discouraged or impossible here; for
// a device, or with nil for the whole conference.
func (x *topology) check(name string, allowed bool, d *model.Device) error {
	if !slices.Contains(api.Topologies(), name) {
		e := fault.New(400, "bad-request", "topology: no such name")
		e.Data = map[string]any{"known": api.Topologies()}
		return e
	}
	if better := instead[name]; better != "" && !allowed && (name != api.TopologyRelay || x.webrtc(d)) {
		e := fault.New(488, "topology-discouraged",
			"%s is discouraged; %s is recommended in its place, or say allowDiscouraged", name, better)
		e.Data = map[string]any{"topology": name, "recommended": better}
		return e
	}
	if x.m.cfg.Policy.E2EE && !policy.Blind(name) {
		return policy.ErrEncrypted(409, "the server cannot do "+name+" without the keys")
	}
	for _, kind := range needs[name] {
		if err := x.mixer(kind); err != nil {
			return err
		}
	}
	return nil
}

// needs are the kinds that have to be mixed for a topology to be itself.
var needs = map[string][]string{
	api.TopologyMixer:  {"audio", "video"},
	api.TopologyHybrid: {"audio"},
}

// webrtc reports whether a device, or any that is there, speaks WebRTC.
func (x *topology) webrtc(d *model.Device) bool {
	if d != nil {
		return !d.Plain()
	}
	return slices.ContainsFunc(x.served(), func(d *model.Device) bool { return !d.Plain() })
}

// setTopology chooses how media flows, for the conference or for devices.
func setTopology(m *Machine, t *turn, p api.SetTopologyParams) (any, error) {
	if p.Part == "" && p.Dev == "" {
		return m.topo.set(t, p)
	}
	devs, err := m.topo.named(p)
	if err != nil {
		return nil, err
	}
	own := model.Choice{Topology: p.Topology, AllowDiscouraged: p.AllowDiscouraged && p.Topology != ""}
	news := false
	for _, d := range devs {
		if p.Topology != "" {
			if err := m.topo.check(p.Topology, p.AllowDiscouraged, d); err != nil {
				return nil, err
			}
		}
		news = news || d.Own != own
	}
	if !news {
		return already(), nil
	}
	if err := t.fresh(devs[0].Part.Rev); err != nil {
		return nil, err
	}
	for _, d := range devs {
		if d.Own != own {
			d.Own = own
			t.touch(d.Part)
			t.event("topology.changed", map[string]any{
				"part": d.Part.ID, "user": d.Part.User, "device": d.ID, "own": own.Topology, "allowDiscouraged": own.AllowDiscouraged,
			})
		}
	}
	m.topo.force()
	return done(), nil
}

// force has the legs looked at without waiting: somebody chose.
func (x *topology) force() {
	x.forced, x.failed = true, false
	x.changed("set")
}

// set chooses for the whole conference.
func (x *topology) set(t *turn, p api.SetTopologyParams) (any, error) {
	if err := x.check(p.Topology, p.AllowDiscouraged, nil); err != nil {
		return nil, err
	}
	allowed := p.AllowDiscouraged && instead[p.Topology] != "" // says nothing about any other
	pol := &x.m.cfg.Policy
	if x.choice() == (model.Choice{Topology: p.Topology, AllowDiscouraged: allowed}) {
		return already(), nil
	}
	if err := t.fresh(x.m.conf.Rev); err != nil {
		return nil, err
	}
	pol.Topology, pol.AllowDiscouraged = p.Topology, allowed
	x.m.conf.Conditions = pol.API()
	t.effect(Remember{Policy: &api.Policy{Topology: p.Topology, AllowDiscouraged: &allowed}})
	x.tell(t)
	return done(), nil
}

// start takes the topology that a conference starts with.
func (x *topology) start(t *turn, p api.StartParams) {
	_, _ = x.set(t, api.SetTopologyParams{Topology: p.Topology, AllowDiscouraged: p.AllowDiscouraged}) // was checked
}

// tell says that the conference's topology is another one.
func (x *topology) tell(t *turn) {
	c := x.choice()
	t.event("topology.changed", map[string]any{"topology": c.Topology, "allowDiscouraged": c.AllowDiscouraged})
	x.force()
}

// named lists the devices that a choice is for.
func (x *topology) named(p api.SetTopologyParams) ([]*model.Device, error) {
	var out []*model.Device
	for _, d := range x.served() {
		if (p.Part == "" || d.Part.ID == ids.Participant(p.Part)) && (p.Dev == "" || string(d.ID) == p.Dev) {
			out = append(out, d)
		}
	}
	switch {
	case len(out) == 0:
		return nil, errNoDevice()
	case p.Part == "" && len(out) > 1:
		return nil, fault.New(409, "conflict", "several devices of that name; say whose by part")
	}
	return out, nil
}

// welcome checks what a device that joins says of itself.
func (x *topology) welcome(t *turn, p api.JoinParams) error {
	if p.Topology != "" {
		d := &model.Device{Kind: p.Kind, Dialect: t.caller.Dialect}
		if err := x.check(p.Topology, p.AllowDiscouraged, d); err != nil {
			return err
		}
	}
	if p.Caps.Streams < 0 || len(p.Caps.Codecs) > maxCaps || slices.ContainsFunc(p.Caps.Codecs, func(c string) bool { return !validToken(c) }) {
		return errBadParams("caps")
	}
	if p.Cascade != nil {
		return x.cascades(t, p)
	}
	return nil
}

const (
	// maxCaps bounds the list of codecs; there are not a dozen in use.
	maxCaps = 32
	// maxHops bounds a cascade of foci; beyond it nobody hears in time anyway.
	maxHops = 8
)

// cascades refuses another conference's focus that has this one behind it, or
// is here already by another way (check RTM-6): sound would go round.
func (x *topology) cascades(t *turn, p api.JoinParams) error {
	c, chain := x.m.conf, foci(p.Cascade)
	if len(chain) > maxHops {
		return fault.New(482, "loop", "more than %d conferences in a row", maxHops)
	}
	for _, f := range chain {
		if !validToken(f) {
			return errBadParams("cascade")
		}
		if f == c.URI || f == string(c.ID) {
			return fault.New(482, "loop", "this conference is behind the other one")
		}
	}
	for _, d := range x.served() {
		if d.Cascade == nil || d.Part.User == t.caller.By.Subject && string(d.ID) == p.Device {
			continue
		}
		for _, f := range foci(d.Cascade) {
			if slices.Contains(chain, f) {
				return fault.New(482, "loop", "that conference is connected already")
			}
		}
	}
	return nil
}

// foci are a cascade's, nearest first.
func foci(c *api.Cascade) []string {
	return append([]string{c.Focus}, c.Path...)
}

// Cascade is what this conference's focus says of itself to another one that it
// joins: itself, and who lies behind it.
func (m *Machine) Cascade() api.Cascade {
	out := api.Cascade{Focus: m.conf.URI, Path: []string{string(m.conf.ID)}}
	for _, d := range m.topo.served() {
		if d.Cascade != nil {
			out.Path = append(out.Path, foci(d.Cascade)...)
		}
	}
	return out
}

// arrives takes what a device says of itself when it joins.
func (x *topology) arrives(d *model.Device, p api.JoinParams) {
	x.arrivals++
	x.arrived[d] = x.arrivals
	own := d.Own // a moderator's choice outlives a reload
	if p.Topology != "" {
		own = model.Choice{Topology: p.Topology, AllowDiscouraged: p.AllowDiscouraged}
	}
	d.Supply = model.Supply{Own: own, Caps: p.Caps, Cascade: p.Cascade, Group: p.Caps.Group && d.Dialect == "rtp"}
	x.m.seals.arrives(d, p)
}

// leaves forgets a device.
func (x *topology) leaves(d *model.Device) {
	delete(x.arrived, d)
	x.m.seals.forget(d)
	d.Leg, d.Links, d.Cascade = model.Leg{}, nil, nil
	x.members("left")
}

// private leaves in a description or among candidates nothing but relayed
// addresses, when their device wants its own told to nobody (line X1). A relayed
// candidate names its base, which is left out too.
func private(lines []string, prefix string) []string {
	var out []string
	for _, l := range lines {
		body, is := strings.CutPrefix(strings.TrimRight(l, "\r"), prefix)
		if !is {
			out = append(out, l)
			continue
		}
		f := strings.Fields(body)
		if i := slices.Index(f, "typ"); i < 0 || i+1 >= len(f) || f[i+1] != "relay" {
			continue
		}
		for i := range f[:len(f)-1] {
			switch f[i] {
			case "raddr":
				f[i+1] = "0.0.0.0"
			case "rport":
				f[i+1] = "9"
			}
		}
		end := l[len(strings.TrimRight(l, "\r")):]
		out = append(out, prefix+strings.Join(f, " ")+end)
	}
	return out
}

// privateSDP is a description without a device's own addresses.
func privateSDP(d *model.Device, sdp string) string {
	if !d.Caps.RelayOnly {
		return sdp
	}
	return strings.Join(private(strings.Split(sdp, "\n"), "a=candidate:"), "\n")
}

// privateCandidates are candidates without a device's own addresses, as
// "candidate:..." or "a=candidate:...".
func privateCandidates(d *model.Device, list []string) []string {
	if !d.Caps.RelayOnly {
		return list
	}
	var out []string
	for _, c := range list {
		prefix := cmp.Or(c[:max(0, strings.Index(c, ":")+1)], "candidate:")
		out = append(out, private([]string{c}, prefix)...)
	}
	return out
}
