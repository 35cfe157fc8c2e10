package info

import "maps"

// Patch applies a partial document to a subscriber's copy and returns the new
// copy (RFC 4575, section 4.6). Neither input is changed. A full or deleted
// document replaces the copy.
func Patch(local, doc *Document) *Document {
	if doc.State != Partial {
		return doc
	}
	out := *local
	out.State, out.Version = Full, doc.Version
	replace(&out.Description, doc.Description)
	replace(&out.Host, doc.Host)
	replace(&out.ConferenceState, doc.ConferenceState)
	replace(&out.Ext, doc.Ext)
	out.Users = patchUsers(local.Users, doc.Users)
	out.SidebarsByRef = patchByRef(local.SidebarsByRef, doc.SidebarsByRef)
	out.SidebarsByVal = patchByVal(local.SidebarsByVal, doc.SidebarsByVal)
	return &out
}

func replace[T any](dst **T, v *T) {
	if v != nil {
		*dst = v
	}
}

func replaceText(dst *string, v string) {
	if v != "" {
		*dst = v
	}
}

func patchUsers(l, d *Users) *Users {
	switch {
	case d == nil:
		return l
	case d.State == Deleted:
		return nil
	case d.State != Partial: // an absent state means full and wipes the roster
		return d
	}
	out := &Users{State: Full, User: map[string]*User{}}
	if l != nil {
		maps.Copy(out.User, l.User)
	}
	for key, u := range d.User {
		switch u.State {
		case Deleted:
			delete(out.User, key)
		case Partial:
			out.User[key] = patchUser(out.User[key], u)
		default:
			out.User[key] = u
		}
	}
	return out
}

func patchUser(l, d *User) *User {
	out := User{}
	if l != nil {
		out = *l
	}
	out.State = Full
	replaceText(&out.DisplayText, d.DisplayText)
	replaceText(&out.CascadedFocus, d.CascadedFocus)
	replace(&out.Ext, d.Ext)
	if len(d.Roles) > 0 {
		out.Roles = d.Roles
	}
	if len(d.Languages) > 0 {
		out.Languages = d.Languages
	}
	if len(d.AssociatedAORs) > 0 {
		out.AssociatedAORs = d.AssociatedAORs
	}
	out.Endpoint = maps.Clone(out.Endpoint)
	for key, e := range d.Endpoint {
		if out.Endpoint == nil {
			out.Endpoint = map[string]*Endpoint{}
		}
		switch e.State {
		case Deleted:
			delete(out.Endpoint, key)
		case Partial:
			out.Endpoint[key] = patchEndpoint(out.Endpoint[key], e)
		default:
			out.Endpoint[key] = e
		}
	}
	return &out
}

func patchEndpoint(l, d *Endpoint) *Endpoint {
	out := Endpoint{}
	if l != nil {
		out = *l
	}
	out.State = Full
	replaceText(&out.DisplayText, d.DisplayText)
	replaceText(&out.Status, d.Status)
	replaceText(&out.JoiningMethod, d.JoiningMethod)
	replaceText(&out.DisconnectionMethod, d.DisconnectionMethod)
	replace(&out.Referred, d.Referred)
	replace(&out.JoiningInfo, d.JoiningInfo)
	replace(&out.DisconnectionInfo, d.DisconnectionInfo)
	replace(&out.CallInfo, d.CallInfo)
	replace(&out.Ext, d.Ext)
	if len(d.Media) > 0 {
		out.Media = maps.Clone(out.Media)
		if out.Media == nil {
			out.Media = map[string]Media{}
		}
		maps.Copy(out.Media, d.Media)
	}
	return &out
}

func patchByRef(l, d *SidebarsByRef) *SidebarsByRef {
	switch {
	case d == nil:
		return l
	case d.State == Deleted:
		return nil
	case d.State != Partial:
		return d
	}
	out := &SidebarsByRef{State: Full, Entry: map[string]URIEntry{}}
	if l != nil {
		maps.Copy(out.Entry, l.Entry)
	}
	maps.Copy(out.Entry, d.Entry)
	return out
}

func patchByVal(l, d *SidebarsByVal) *SidebarsByVal {
	switch {
	case d == nil:
		return l
	case d.State == Deleted:
		return nil
	case d.State != Partial:
		return d
	}
	out := &SidebarsByVal{State: Full, Entry: map[string]*Document{}}
	if l != nil {
		maps.Copy(out.Entry, l.Entry)
	}
	for key, e := range d.Entry {
		switch {
		case e.State == Deleted:
			delete(out.Entry, key)
		case e.State == Partial && out.Entry[key] != nil:
			out.Entry[key] = Patch(out.Entry[key], e)
		default:
			out.Entry[key] = e
		}
	}
	return out
}

// Verdict is what a subscriber does after a document.
type Verdict uint8

// Verdicts of [Subscriber.Accept].
const (
	Accepted  Verdict = iota
	Discarded         // older than what is here
	Refresh           // a gap: subscribe again to get a full document
	Over              // the conference ceased
)

// Subscriber keeps a coherent copy from notifications (RFC 4575, section 4.6).
// The zero value has none yet.
type Subscriber struct{ Doc *Document }

// Accept takes one document.
func (s *Subscriber) Accept(doc *Document) Verdict {
	if !keyed(doc) {
		return Refresh
	}
	switch {
	case s.Doc == nil && doc.State == Partial:
		return Refresh
	case s.Doc != nil && doc.Version <= s.Doc.Version:
		return Discarded
	case doc.State == Deleted:
		s.Doc = doc
		return Over
	case doc.State == Partial && doc.Version != s.Doc.Version+1:
		return Refresh
	case doc.State == Partial:
		s.Doc = Patch(s.Doc, doc)
	default:
		s.Doc = doc
	}
	return Accepted
}

// keyed reports whether every row has its key: without one it cannot be placed.
func keyed(doc *Document) bool {
	if doc.SidebarsByVal != nil {
		for key, e := range doc.SidebarsByVal.Entry {
			if key == "" || e == nil || !keyed(e) {
				return false
			}
		}
	}
	if doc.Users == nil {
		return true
	}
	for key, u := range doc.Users.User {
		if key == "" || u == nil {
			return false
		}
		for id, e := range u.Endpoint {
			if id == "" || e == nil {
				return false
			}
		}
	}
	return true
}
