package info

import (
	"maps"
	"reflect"
	"slices"
)

// Diff returns the partial document that turns old into new at a subscriber
// who has old, or nil when they are equal. It is full where a partial cannot
// say it: RFC 4575 has no way to remove an optional atomic child or a media
// row but to send the element around it whole. Versions are left zero. Neither
// document is changed; the result shares rows with new.
func Diff(old, new *Document) *Document {
	if old == new {
		return nil
	}
	if gone(old.Description, new.Description) || gone(old.Host, new.Host) ||
		gone(old.ConferenceState, new.ConferenceState) || gone(old.Ext, new.Ext) ||
		old.Users != nil && new.Users == nil || old.SidebarsByVal != nil && new.SidebarsByVal == nil {
		return whole(new)
	}
	d := &Document{Entity: new.Entity, State: Partial}
	changed := atomic(&d.Description, old.Description, new.Description)
	changed = atomic(&d.Host, old.Host, new.Host) || changed
	changed = atomic(&d.ConferenceState, old.ConferenceState, new.ConferenceState) || changed
	d.Users = diffUsers(old.Users, new.Users)
	d.SidebarsByRef = diffByRef(old.SidebarsByRef, new.SidebarsByRef)
	d.SidebarsByVal = diffByVal(old.SidebarsByVal, new.SidebarsByVal)
	if !changed && d.Users == nil && d.SidebarsByRef == nil && d.SidebarsByVal == nil && reflect.DeepEqual(old.Ext, new.Ext) {
		return nil
	}
	d.Ext = new.Ext // carries rev, which steps with every visible change
	return d
}

func whole(d *Document) *Document {
	c := *d
	c.State = Full
	return &c
}

func gone[T any](old, new *T) bool { return old != nil && new == nil }

// atomic sets dst to new when it differs from old.
func atomic[T any](dst **T, old, new *T) bool {
	if old == new || reflect.DeepEqual(old, new) {
		return false
	}
	*dst = new
	return true
}

func diffUsers(old, new *Users) *Users {
	if old == new || new == nil {
		return nil
	}
	if old == nil {
		return new
	}
	out := map[string]*User{}
	for key, u := range new.User {
		if o, ok := old.User[key]; !ok {
			out[key] = u
		} else if d := diffUser(o, u); d != nil {
			out[key] = d
		}
	}
	for key := range old.User {
		if _, ok := new.User[key]; !ok {
			out[key] = &User{State: Deleted}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &Users{State: Partial, User: out}
}

func diffUser(old, new *User) *User {
	if old == new {
		return nil
	}
	if old.DisplayText != "" && new.DisplayText == "" || len(old.AssociatedAORs) > 0 && len(new.AssociatedAORs) == 0 ||
		len(old.Roles) > 0 && len(new.Roles) == 0 || len(old.Languages) > 0 && len(new.Languages) == 0 ||
		old.CascadedFocus != "" && new.CascadedFocus == "" || gone(old.Ext, new.Ext) {
		return new
	}
	d := &User{State: Partial}
	changed := text(&d.DisplayText, old.DisplayText, new.DisplayText)
	changed = text(&d.CascadedFocus, old.CascadedFocus, new.CascadedFocus) || changed
	changed = atomic(&d.Ext, old.Ext, new.Ext) || changed
	if !slices.Equal(old.Roles, new.Roles) {
		d.Roles, changed = new.Roles, true
	}
	if !slices.Equal(old.Languages, new.Languages) {
		d.Languages, changed = new.Languages, true
	}
	if !reflect.DeepEqual(old.AssociatedAORs, new.AssociatedAORs) {
		d.AssociatedAORs, changed = new.AssociatedAORs, true
	}
	d.Endpoint = diffEndpoints(old.Endpoint, new.Endpoint)
	if !changed && len(d.Endpoint) == 0 {
		return nil
	}
	return d
}

func text(dst *string, old, new string) bool {
	if old == new {
		return false
	}
	*dst = new
	return true
}

func diffEndpoints(old, new map[string]*Endpoint) map[string]*Endpoint {
	out := map[string]*Endpoint{}
	for key, e := range new {
		if o, ok := old[key]; !ok {
			out[key] = e
		} else if d := diffEndpoint(o, e); d != nil {
			out[key] = d
		}
	}
	for key := range old {
		if _, ok := new[key]; !ok {
			out[key] = &Endpoint{State: Deleted}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func diffEndpoint(old, new *Endpoint) *Endpoint {
	if old == new {
		return nil
	}
	if endpointLost(old, new) {
		return new
	}
	d := &Endpoint{State: Partial}
	changed := text(&d.DisplayText, old.DisplayText, new.DisplayText)
	changed = text(&d.Status, old.Status, new.Status) || changed
	changed = text(&d.JoiningMethod, old.JoiningMethod, new.JoiningMethod) || changed
	changed = text(&d.DisconnectionMethod, old.DisconnectionMethod, new.DisconnectionMethod) || changed
	changed = atomic(&d.Referred, old.Referred, new.Referred) || changed
	changed = atomic(&d.JoiningInfo, old.JoiningInfo, new.JoiningInfo) || changed
	changed = atomic(&d.DisconnectionInfo, old.DisconnectionInfo, new.DisconnectionInfo) || changed
	changed = atomic(&d.CallInfo, old.CallInfo, new.CallInfo) || changed
	changed = atomic(&d.Ext, old.Ext, new.Ext) || changed
	for id, m := range new.Media {
		if o, ok := old.Media[id]; !ok || o != m {
			if d.Media == nil {
				d.Media = map[string]Media{}
			}
			d.Media[id] = m
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return d
}

// endpointLost reports whether something vanished that has no state of its own.
func endpointLost(old, new *Endpoint) bool {
	for id := range old.Media {
		if _, ok := new.Media[id]; !ok {
			return true
		}
	}
	return old.DisplayText != "" && new.DisplayText == "" || old.Status != "" && new.Status == "" ||
		old.JoiningMethod != "" && new.JoiningMethod == "" ||
		old.DisconnectionMethod != "" && new.DisconnectionMethod == "" ||
		gone(old.Referred, new.Referred) || gone(old.JoiningInfo, new.JoiningInfo) ||
		gone(old.DisconnectionInfo, new.DisconnectionInfo) || gone(old.CallInfo, new.CallInfo) || gone(old.Ext, new.Ext)
}

// diffByRef sends the list whole when an entry went, since entries carry no
// state; a list that went is deleted with one entry, which the schema wants.
func diffByRef(old, new *SidebarsByRef) *SidebarsByRef {
	switch {
	case old == new || reflect.DeepEqual(old, new):
		return nil
	case old == nil:
		return new
	case new == nil || len(new.Entry) == 0:
		out := &SidebarsByRef{State: Deleted, Entry: map[string]URIEntry{}}
		for _, key := range slices.Sorted(maps.Keys(old.Entry))[:min(1, len(old.Entry))] {
			out.Entry[key] = old.Entry[key]
		}
		return out
	}
	out := &SidebarsByRef{State: Partial, Entry: map[string]URIEntry{}}
	for key := range old.Entry {
		if _, ok := new.Entry[key]; !ok {
			return new
		}
	}
	for key, e := range new.Entry {
		if o, ok := old.Entry[key]; !ok || !reflect.DeepEqual(o, e) {
			out.Entry[key] = e
		}
	}
	return out
}

func diffByVal(old, new *SidebarsByVal) *SidebarsByVal {
	switch {
	case old == new || new == nil:
		return nil
	case old == nil:
		return new
	}
	out := &SidebarsByVal{State: Partial, Entry: map[string]*Document{}}
	for key, d := range new.Entry {
		if o, ok := old.Entry[key]; !ok {
			out.Entry[key] = d
		} else if p := Diff(o, d); p != nil {
			out.Entry[key] = p
		}
	}
	for key := range old.Entry {
		if _, ok := new.Entry[key]; !ok {
			out.Entry[key] = &Document{State: Deleted}
		}
	}
	if len(out.Entry) == 0 {
		return nil
	}
	return out
}

// RowChange is one row of a roster, before and after; nil: it was not there.
type RowChange struct {
	Entity   string
	Old, New *User
}

// DiffRows is [Diff] for a notifier that knows which rows changed: old and new
// are documents without rosters. It walks nobody else's row. With whole true
// the change can only be said by a full document.
func DiffRows(old, new *Document, rows []RowChange) (d *Document, whole bool) {
	users := map[string]*User{}
	for _, c := range rows {
		switch {
		case c.New == c.Old:
		case c.New == nil:
			users[c.Entity] = &User{State: Deleted}
		case c.Old == nil:
			users[c.Entity] = c.New
		default:
			if u := diffUser(c.Old, c.New); u != nil {
				users[c.Entity] = u
			}
		}
	}
	if len(users) == 0 && sameHead(old, new) {
		return nil, false
	}
	if d = Diff(old, new); d == nil { // not even the revision
		d = &Document{Entity: new.Entity, State: Partial, Ext: new.Ext}
	}
	if d.State != Partial {
		return nil, true
	}
	if len(users) > 0 {
		d.Users = &Users{State: Partial, User: users}
	}
	return d, false
}

// SameRow reports whether two rows say the same.
func SameRow(a, b *User) bool {
	return a == b || a != nil && b != nil && diffUser(a, b) == nil
}

// SameHead reports whether two documents without rosters differ at most in the
// revision.
func SameHead(a, b *Document) bool { return sameHead(a, b) }

// Self is what one subscriber is told about itself, beside what its class is
// told: the entity of its own row when that is an alias.
type Self struct {
	User string `json:"user,omitempty"`
}
