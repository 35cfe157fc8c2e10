package model

import (
	"maps"
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
)

// Branches ties a conference to others: its sidebars, and the main conference
// whose sidebar it is itself.
type Branches struct {
	Main     *Place // nil: this is no sidebar
	Sidebars map[ids.Conference]*Sidebar
}

// Place names a conference.
type Place struct {
	ID  ids.Conference
	URI string
}

// Sidebar is a child conference as its main conference knows it (RFC 4575,
// section 5.9). It has a machine of its own.
type Sidebar struct {
	Place
	Title   string
	Creator string // user entity
	ByVal   bool   // shown as a whole conference, not as a reference
	Order   uint64
	Members map[string]bool // user entities that may come
	// Val is the sidebar as it was a moment ago, for the document by value; a
	// frozen copy that nobody changes.
	Val   *Conference
	Users int // participants with a live device, in Val
}

// SidebarsInOrder lists the sidebars, oldest first.
func (b *Branches) SidebarsInOrder() []*Sidebar {
	return slices.SortedFunc(maps.Values(b.Sidebars), func(x, y *Sidebar) int { return int(x.Order) - int(y.Order) })
}

// Away says that a device's media is in another conference. The row stays, on
// hold; its tracks are not forwarded and it receives nothing but, if asked for,
// the main conference's sound.
type Away struct {
	To        Place
	Sidebar   bool
	KeepAudio bool
	Keep      bool       // stays here on hold; else it leaves when it has arrived there
	Arrived   bool       // the other conference has seen it
	Since     clock.Time // of the move
	By        string     // user entity that moved it
}

// Hears reports whether a device away (nil: it is here) still receives a kind.
func (a *Away) Hears(kind string) bool { return a == nil || a.KeepAudio && kind == "audio" }

// Paused reports whether nothing is to be sent for the subscription.
func (s *Subscription) Paused() bool { return s.Want.Paused || !s.Device.Away.Hears(s.Track.Kind) }

// Copy returns what the document shows of the conference, for reading by
// another goroutine while this one goes on.
func (c *Conference) Copy() *Conference {
	out := NewConference(c.ID, c.URI)
	out.Title, out.Phase, out.Locked, out.Rev, out.Since = c.Title, c.Phase, c.Locked, c.Rev, c.Since
	out.hidden = maps.Clone(c.hidden)
	for user, p := range c.Participants {
		q := *p
		q.Devices = make(map[ids.Device]*Device, len(p.Devices))
		for id, d := range p.Devices {
			q.Devices[id] = d.copyFor(&q)
		}
		q.FocusMuted = maps.Clone(p.FocusMuted)
		out.Participants[user] = &q
	}
	return out
}

func (d *Device) copyFor(p *Participant) *Device {
	e := *d
	e.Part, e.Receives, e.Streams, e.Media = p, maps.Clone(d.Receives), nil, nil
	e.Inputs, e.Active = slices.Clone(d.Inputs), maps.Clone(d.Active)
	for _, s := range d.Media {
		t := &MediaSession{ID: s.ID, Device: &e, Rev: s.Rev, State: s.State, Link: s.Link, Retiring: s.Retiring}
		for _, k := range s.Tracks {
			l := *k
			l.Device = &e
			t.Tracks = append(t.Tracks, &l)
		}
		e.Media = append(e.Media, t)
	}
	return &e
}
