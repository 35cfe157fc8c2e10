package info

import "errors"

// Errors of [Check].
var (
	errNotFull   = errors.New("info: an element of a full parent is not full")
	errChildless = errors.New("info: a full document lacks description or users")
	errRemains   = errors.New("info: a deleted element has children")
	errLabel     = errors.New("info: a medium's label is not on offer")
	errNoEntry   = errors.New("info: sidebars-by-ref without an entry")
	errNoKey     = errors.New("info: a row without its key")
)

// Check finds what is wrong with a document beyond what the schema can say:
// states against their parents' (RFC 4575, section 4.4), what a full document
// must hold (section 5.1), labels (section 5.8.3), keys.
func Check(d *Document) error {
	if d.State != Partial && d.State != Deleted && (d.Description == nil || d.Users == nil) {
		return errChildless
	}
	return check(d)
}

func check(d *Document) error {
	if !keyed(d) {
		return errNoKey
	}
	if d.State == Deleted {
		if d.Users != nil || d.SidebarsByRef != nil || d.SidebarsByVal != nil {
			return errRemains
		}
		return nil
	}
	full := d.State != Partial
	if d.Users != nil {
		if err := checkUsers(d, full); err != nil {
			return err
		}
	}
	if s := d.SidebarsByRef; s != nil {
		if len(s.Entry) == 0 {
			return errNoEntry
		}
		if full && s.State != Full {
			return errNotFull
		}
	}
	if s := d.SidebarsByVal; s != nil {
		if full && s.State != Full {
			return errNotFull
		}
		for _, e := range s.Entry {
			if s.State == Full && e.State != Full {
				return errNotFull
			}
			if err := check(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkUsers(d *Document, full bool) error {
	if full && d.Users.State != Full {
		return errNotFull
	}
	for _, u := range d.Users.User {
		if d.Users.State == Full && u.State != Full {
			return errNotFull
		}
		if u.State == Deleted && (len(u.Endpoint) > 0 || len(u.Roles) > 0) {
			return errRemains
		}
		for _, e := range u.Endpoint {
			if u.State == Full && e.State != Full {
				return errNotFull
			}
			if e.State == Deleted && len(e.Media) > 0 {
				return errRemains
			}
			if !labelled(d, e) {
				return errLabel
			}
		}
	}
	return nil
}

func labelled(d *Document, e *Endpoint) bool {
	if d.Description == nil || len(d.Description.AvailableMedia) == 0 {
		return true
	}
	for _, m := range e.Media {
		if _, ok := d.Description.AvailableMedia[m.Label]; m.Label != "" && !ok {
			return false
		}
	}
	return true
}
