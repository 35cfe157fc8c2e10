package info

import (
	"strconv"
	"time"

	"parley/internal/base/clock"
	"parley/internal/conference/model"
)

// View is a class of subscribers who may see the same. There is one so far;
// role and privacy make more of them.
type View struct {
	Anchor   clock.Anchor
	MaxUsers int
	Labels   [][3]string // label, type, text for people
}

// Build makes the full document of a conference as a view sees it. Rows that
// have not changed since prev (may be nil) are taken over from it, and prev
// itself is returned when nothing visible changed, so that a revision which
// concerns nobody's document makes no notification.
func Build(c *model.Conference, users int, v View, prev *Document) *Document {
	if prev != nil && prev.Ext.Rev == c.Rev {
		return prev
	}
	d := &Document{
		Entity: c.URI, State: Full, Description: description(c, v),
		ConferenceState: conferenceState(c, users),
		Users:           &Users{State: Full, User: make(map[string]*User, len(c.Participants))},
		Ext:             &ConferenceExt{ConferenceMembers{Rev: c.Rev}},
	}
	same := prev != nil && len(prev.Users.User) == len(c.Participants)
	for key, p := range c.Participants {
		var old *User
		if prev != nil {
			old = prev.Users.User[key]
		}
		u := old
		if old == nil || p.Rev > prev.Ext.Rev {
			u = user(p, v)
			if old != nil && diffUser(old, u) == nil {
				u = old
			}
		}
		same = same && u == old
		d.Users.User[key] = u
	}
	if prev == nil {
		return d
	}
	if same {
		d.Users = prev.Users
	}
	ext := d.Ext
	d.Ext = prev.Ext
	if Diff(prev, d) == nil {
		return prev
	}
	d.Ext = ext
	return d
}

func description(c *model.Conference, v View) *Description {
	d := &Description{
		DisplayText: c.Title, MaximumUserCount: uint32(v.MaxUsers),
		AvailableMedia: make(map[string]AvailableMedia, len(v.Labels)),
		ConfURIs:       []URIEntry{{URI: c.URI, Purpose: "participation"}},
	}
	for _, l := range v.Labels {
		d.AvailableMedia[l[0]] = AvailableMedia{Type: l[1], DisplayText: l[2], Status: "sendrecv"}
	}
	return d
}

func conferenceState(c *model.Conference, users int) *ConferenceState {
	n, active, locked := uint32(users), c.Phase == model.Active, c.Locked
	return &ConferenceState{UserCount: &n, Active: &active, Locked: &locked}
}

func user(p *model.Participant, v View) *User {
	u := &User{
		State: Full, DisplayText: p.Name, Roles: []string{string(p.Role)},
		Endpoint: make(map[string]*Endpoint, len(p.Devices)), Ext: &UserExt{UserMembers{Part: string(p.ID)}},
	}
	for id, d := range p.Devices {
		u.Endpoint[string(id)] = endpoint(d, v)
	}
	return u
}

func endpoint(d *model.Device, v View) *Endpoint {
	e := &Endpoint{
		State: Full, DisplayText: d.Label, Status: string(d.Status), JoiningMethod: "dialed-in",
		JoiningInfo: &Execution{When: When(v.Anchor, d.JoinedAt)},
		Ext:         &EndpointExt{EndpointMembers{Reachability: string(d.Reach), Kind: d.Kind}},
	}
	if d.Gone != "" {
		e.DisconnectionMethod = string(d.Gone)
		e.DisconnectionInfo = &Execution{When: When(v.Anchor, d.LeftAt), Reason: d.GoneWhy, By: d.GoneBy}
		return e
	}
	e.Media = media(d)
	return e
}

// media makes one row per published track, and one that only receives for each
// medium that the device gets without sending it. The receive part of a medium
// is shown on the first row of its label.
func media(d *model.Device) map[string]Media {
	out := map[string]Media{}
	shown := map[string]bool{}
	for _, s := range d.Media {
		for _, k := range s.Tracks {
			recv := d.Receives[k.Label] > 0 && !shown[k.Label]
			shown[k.Label] = true
			out[string(k.ID)] = row(k, recv)
		}
	}
	for label, n := range d.Receives {
		if n > 0 && !shown[label] {
			out["recv-"+label] = Media{Type: kindOf(label), Label: label, Status: "recvonly"}
		}
	}
	return out
}

func kindOf(label string) string {
	if label == "a0" || label == "sa0" {
		return "audio"
	}
	return "video"
}

func row(k *model.Track, recv bool) Media {
	m := Media{
		Type: k.Kind, Label: k.Label, Status: status(!k.Muted(), recv),
		Ext: MediaExt{MediaMembers{Source: k.Source, Stream: string(k.Stream), MutedBy: k.MutedBy()}},
	}
	if k.State == model.TrackLive {
		m.SrcID = strconv.FormatUint(uint64(k.SrcID), 10)
	}
	return m
}

// status is the participant's view (RFC 4575, section 5.8.5).
func status(send, recv bool) string {
	switch {
	case send && recv:
		return "sendrecv"
	case send:
		return "sendonly"
	case recv:
		return "recvonly"
	}
	return "inactive"
}

// When formats an instant as dateTime in UTC, to the second.
func When(a clock.Anchor, t clock.Time) string {
	return time.Unix(0, a.Unix+int64(t-a.Mono)).UTC().Format(time.RFC3339)
}
