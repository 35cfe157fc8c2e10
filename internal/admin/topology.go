package admin

import (
	"cmp"
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
)

// topology tells how media flows: of a running conference as it is, of another
// one as it will be.
func topology(c *call) (any, error) {
	s, err := c.h.cfg.Conferences.Inspect(c.r.Context(), c.uri, false)
	if err == nil {
		return s.Topology, nil
	}
	d, _, ok := c.h.cfg.Definitions.Get(c.uri)
	switch {
	case fault.From(err).Code != 404:
		return nil, err
	case !ok:
		return nil, errNotFound()
	}
	return planned(d), nil
}

func planned(d api.Definition) api.Topology {
	out := api.Topology{Topology: cmp.Or(d.Policy.Topology, api.TopologyAuto)}
	if a := d.Policy.AllowDiscouraged; a != nil {
		out.AllowDiscouraged = *a
	}
	return out
}

// setTopology chooses for a conference, running or to come.
func setTopology(c *call) (any, error) {
	var in api.PutTopology
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	rev, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	if c.active(c.uri) {
		p := api.SetTopologyParams{Topology: in.Topology, AllowDiscouraged: in.AllowDiscouraged}
		if _, err := c.do(c.uri, api.TopologySet, p, rev); err != nil {
			return nil, err
		}
		return topology(c)
	}
	if err := checkPlanned(in); err != nil {
		return nil, err
	}
	d, tag, err := c.h.cfg.Conferences.Amend(c.uri, func(d *api.Definition, exists bool) error {
		if !exists {
			return errNotFound()
		}
		d.Policy.Topology, d.Policy.AllowDiscouraged = in.Topology, &in.AllowDiscouraged
		return checkSealed(d.Policy)
	})
	if err != nil {
		return nil, err
	}
	c.tag(tag)
	return planned(d), nil
}

// checkPlanned checks a topology for a conference in which nobody is yet.
func checkPlanned(in api.PutTopology) error {
	if !slices.Contains(api.Topologies(), in.Topology) {
		e := fault.New(400, "bad-request", "topology: no such name")
		e.Data = map[string]any{"field": "topology", "known": api.Topologies()}
		return e
	}
	if better := control.Instead(in.Topology); better != "" && !in.AllowDiscouraged {
		e := fault.New(488, "topology-discouraged", "%s is discouraged; %s is recommended in its place, or say allowDiscouraged", in.Topology, better)
		e.Data = map[string]any{"topology": in.Topology, "recommended": better}
		return e
	}
	return nil
}

// checkSealed refuses what a server without keys cannot do.
func checkSealed(p api.Policy) error {
	if p.E2EE != nil && *p.E2EE && !policy.Blind(p.Topology) {
		return policy.ErrEncrypted(409, "the server cannot do "+p.Topology+" without the keys")
	}
	return nil
}

func deviceTopology(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return one(s.Topology.Devices, func(m api.LegManner) bool {
		return m.Part == c.r.PathValue("part") && m.Device == c.r.PathValue("device")
	})
}

func setDeviceTopology(c *call) (any, error) {
	var in api.PutTopology
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	rev, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	p := api.SetTopologyParams{
		Topology: in.Topology, AllowDiscouraged: in.AllowDiscouraged, Part: c.r.PathValue("part"), Dev: c.r.PathValue("device"),
	}
	if _, err := c.do(c.uri, api.TopologySet, p, rev); err != nil {
		return nil, err
	}
	return deviceTopology(c)
}
