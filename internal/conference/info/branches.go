package info

import (
	"maps"
	"slices"

	"parley/internal/conference/model"
)

// Layout is how the conference is arranged for all.
type Layout struct {
	Mode string   `json:"mode"`
	Pins []string `json:"pins,omitempty"`
	By   string   `json:"by,omitempty"`
}

// Topology is how media flows, by the name it was chosen by.
type Topology struct {
	Name             string `json:"name"`
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
	Lacking          string `json:"lacking,omitempty"` // what a mixer would need here; to moderators
}

// Recording is the state of the conference's recording.
type Recording struct {
	State  string `json:"state"`
	By     string `json:"by,omitempty"`
	Ask    bool   `json:"ask,omitempty"` // each is asked for consent
	Reason string `json:"reason,omitempty"`
}

// branchMembers adds what concerns layout, recording and other conferences.
func branchMembers(m *ConferenceMembers, c *model.Conference, v View) {
	m.Intent = c.Intent
	if c.Main != nil {
		m.Main = c.Main.URI
	}
	if t := c.Choice; t.Topology != "" {
		m.Topology = &Topology{Name: t.Topology, AllowDiscouraged: t.AllowDiscouraged}
		if v.Group == Moderators {
			m.Topology.Lacking = c.Lacking
		}
	}
	if l := c.Layout; l.Mode != "" {
		m.Layout = &Layout{l.Mode, slices.Clone(l.Pins), v.Name(c, l.By)}
	}
	if r := c.Recording; r.State != model.RecIdle {
		m.Recording = &Recording{string(r.State), v.Name(c, r.By), r.Ask, r.Reason}
	}
}

// branches adds the sidebars, by reference or by value, and where a recording
// is stored. Who waits in the lobby sees none of it.
func branches(d *Document, c *model.Conference, v View) {
	if v.Group == Waiting {
		return
	}
	if c.Recording.URL != "" && d.Description != nil {
		d.Description.ServiceURIs = append(d.Description.ServiceURIs, URIEntry{URI: c.Recording.URL, Purpose: "recording"})
	}
	for _, s := range c.SidebarsInOrder() {
		if !s.ByVal {
			if d.SidebarsByRef == nil {
				d.SidebarsByRef = &SidebarsByRef{State: Full, Entry: map[string]URIEntry{}}
			}
			d.SidebarsByRef.Entry[s.URI] = URIEntry{DisplayText: s.Title}
			continue
		}
		if d.SidebarsByVal == nil {
			d.SidebarsByVal = &SidebarsByVal{State: Full, Entry: map[string]*Document{}}
		}
		d.SidebarsByVal.Entry[s.URI] = inside(s, v)
	}
}

// inside is a sidebar as a whole conference; empty until it was first seen.
func inside(s *model.Sidebar, v View) *Document {
	c, users := s.Val, s.Users
	if c == nil {
		c, users = model.NewConference(s.ID, s.URI), 0
		c.Title = s.Title
	}
	d := Build(c, users, v, nil)
	d.Entity = "" // it is the key
	d.Ext = nil   // its revisions are its own; it is subscribed to for more
	return d
}

// equipment adds what a device said of itself, and how it came.
func equipment(e *Endpoint, c *model.Conference, d *model.Device, v View) {
	if d.DialedOut {
		e.JoiningMethod = "dialed-out"
	}
	if r := d.Referred; r != nil {
		e.Referred = &Execution{When: When(v.Anchor, r.When), By: v.Name(c, r.By)}
	}
	switch {
	case d.Status == model.Pending || d.Session == "":
		e.JoiningInfo = nil // it has not joined
	case d.MovedBy != "":
		e.JoiningInfo.By = v.Name(c, d.MovedBy)
	}
	x := &e.Ext.EndpointMembers
	x.Manner = string(d.Leg.Manner)
	if o := d.Own; o.Topology != "" && d.Status.Live() {
		x.Topology = &Topology{Name: o.Topology, AllowDiscouraged: o.AllowDiscouraged}
	}
	if k := d.Keys; k.Key != "" && d.Status.Live() {
		x.E2EE = &k
	}
	x.Active = maps.Clone(d.Active)
	if d.Away != nil {
		x.Away = d.Away.To.URI
	}
	if !v.Hides(c, d.Part.User) { // the names of inputs are often those of people
		x.Inputs = slices.Clone(d.Inputs)
	}
}

// consent is a person's answer to a recording that asks; nil: none.
func consent(c *model.Conference, user string) *bool {
	if a, ok := c.Recording.Consent[user]; ok && c.Recording.Ask && c.Recording.State.On() {
		return &a
	}
	return nil
}
