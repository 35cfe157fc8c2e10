package info

import (
	"reflect"
	"strconv"
	"time"

	"parley/internal/base/clock"
	"parley/internal/conference/model"
)

// Build makes the full document of a conference as a view sees it. Rows that
// have not changed since prev (may be nil) are taken over from it, and prev
// itself is returned when nothing visible changed. It walks everybody: this is
// the truth that the notifier is tested against.
func Build(c *model.Conference, users int, v View, prev *Document) *Document {
	if prev != nil && prev.Ext.Rev == c.Rev {
		return prev
	}
	d := Head(c, users, v)
	d.Users = &Users{State: Full, User: make(map[string]*User, len(c.Participants))}
	same := prev != nil
	for _, p := range c.Participants {
		if !v.Sees(p) {
			continue
		}
		key := v.Name(c, p.User)
		var old *User
		if prev != nil {
			old = prev.Users.User[key]
		}
		u := old
		if old == nil || p.Rev > prev.Ext.Rev {
			u = Row(c, p, v)
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
	if same && len(prev.Users.User) == len(d.Users.User) {
		d.Users = prev.Users
	}
	if d.Users == prev.Users && sameHead(prev, d) {
		return prev
	}
	return d
}

// Head makes everything of the document but the roster.
func Head(c *model.Conference, users int, v View) *Document {
	d := &Document{
		Entity: c.URI, State: Full, Description: description(c, v),
		ConferenceState: conferenceState(c, users, v),
		Ext:             &ConferenceExt{conferenceMembers(c, v)},
	}
	branches(d, c, v)
	return d
}

// sameHead reports whether two documents differ at most in their rosters and
// in the revision, which alone is nobody's news.
func sameHead(a, b *Document) bool {
	x, y := *a, *b
	x.Users, y.Users, x.Version, y.Version = nil, nil, 0, 0
	x.Ext, y.Ext = nil, nil
	return reflect.DeepEqual(&x, &y) && sameExt(a.Ext, b.Ext)
}

// sameExt compares without the revision.
func sameExt(a, b *ConferenceExt) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := a.ConferenceMembers, b.ConferenceMembers
	x.Rev, y.Rev = 0, 0
	return reflect.DeepEqual(x, y)
}

func description(c *model.Conference, v View) *Description {
	d := &Description{
		DisplayText:    c.Title,
		AvailableMedia: make(map[string]AvailableMedia, len(v.Labels)),
		ConfURIs:       []URIEntry{{URI: c.URI, Purpose: "participation"}},
	}
	if v.MaxUsers > 0 {
		n := uint32(v.MaxUsers)
		d.MaximumUserCount = &n
	}
	for _, l := range v.Labels {
		d.AvailableMedia[l[0]] = AvailableMedia{Type: l[1], DisplayText: l[2], Status: "sendrecv"}
	}
	return d
}

// conferenceState tells who waits in the lobby no number: it is no roster, but
// it is a part of one.
func conferenceState(c *model.Conference, users int, v View) *ConferenceState {
	n, active, locked := uint32(users), c.Phase == model.Active, c.Locked
	s := &ConferenceState{UserCount: &n, Active: &active, Locked: &locked}
	if v.Group == Waiting {
		s.UserCount = nil
	}
	return s
}

// Row makes one row of the roster as a view sees it.
func Row(c *model.Conference, p *model.Participant, v View) *User {
	u := &User{
		State: Full, DisplayText: p.Name, Roles: []string{string(p.Role)},
		Endpoint: make(map[string]*Endpoint, len(p.Devices)), Ext: &UserExt{userMembers(p, v)},
	}
	u.Ext.Consent = consent(c, p.User)
	u.CascadedFocus = cascadedFocus(p)
	if v.Hides(c, p.User) {
		u.DisplayText = v.DisplayText(c, p.User)
	}
	for id, d := range p.Devices {
		u.Endpoint[v.Device(c, p.User, id)] = endpoint(c, p, d, v)
	}
	return u
}

// cascadedFocus is the conference behind a user who is its focus (section 5.6.5).
func cascadedFocus(p *model.Participant) string {
	uri := ""
	for _, d := range p.Devices {
		if d.Cascade != nil && d.Status.Live() && (uri == "" || d.Cascade.Focus < uri) {
			uri = d.Cascade.Focus
		}
	}
	return uri
}

func endpoint(c *model.Conference, p *model.Participant, d *model.Device, v View) *Endpoint {
	e := &Endpoint{
		State: Full, DisplayText: d.Label, Status: string(d.Status), JoiningMethod: "dialed-in",
		JoiningInfo: &Execution{When: When(v.Anchor, d.JoinedAt)},
		Ext:         &EndpointExt{EndpointMembers{Reachability: string(d.Reach), Kind: d.Kind}},
	}
	if v.Hides(c, p.User) {
		e.DisplayText = "" // the name of a device is often the name of its owner
	}
	if v.Group == Moderators && d.Dialog != nil {
		e.CallInfo = &CallInfo{CallID: d.Dialog.CallID, FromTag: d.Dialog.FromTag, ToTag: d.Dialog.ToTag}
	}
	equipment(e, c, d, v)
	if d.Gone != "" {
		e.DisconnectionMethod = string(d.Gone)
		e.DisconnectionInfo = &Execution{When: When(v.Anchor, d.LeftAt), Reason: d.GoneWhy, By: v.Name(c, d.GoneBy)}
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
			recv := d.Receives[k.Label] > 0 && !shown[k.Label] && d.Away.Hears(k.Kind)
			shown[k.Label] = true
			out[string(k.ID)] = row(k, recv)
		}
	}
	for label, n := range d.Receives {
		if n > 0 && !shown[label] && d.Away.Hears(kindOf(label)) {
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
