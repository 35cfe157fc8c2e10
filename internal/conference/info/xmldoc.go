package info

import (
	"encoding/xml"
	"strconv"
)

// conference reads the root or an entry of sidebars-by-val.
func (r *reader) conference(s xml.StartElement, level int) (*Document, error) {
	if level > maxSidebars {
		return nil, malformed("sidebars too deep")
	}
	d := &Document{}
	var err error
	if d.State, err = state(s); err != nil {
		return nil, err
	}
	if v := attr(s, "version"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return nil, malformed("version")
		}
		d.Version = uint32(n)
	}
	var ext ConferenceExt
	err = r.own(&ext.ConferenceMembers, func(name string, s xml.StartElement) error {
		return r.part(d, name, s, level)
	})
	d.Ext = present(ext)
	return d, err
}

// part reads one child of a conference.
func (r *reader) part(d *Document, name string, s xml.StartElement, level int) error {
	switch name {
	case "conference-description":
		d.Description = &Description{}
		return r.description(d.Description)
	case "host-info":
		d.Host = &Host{}
		return r.host(d.Host)
	case "conference-state":
		d.ConferenceState = &ConferenceState{}
		return r.conferenceState(d.ConferenceState)
	case "users":
		d.Users = &Users{}
		return r.users(d.Users, s, d.State)
	case "sidebars-by-ref":
		d.SidebarsByRef = &SidebarsByRef{}
		return r.byRef(d.SidebarsByRef, s)
	case "sidebars-by-val":
		d.SidebarsByVal = &SidebarsByVal{}
		return r.byVal(d.SidebarsByVal, s, level)
	}
	return r.skip()
}

func (r *reader) description(d *Description) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		switch name {
		case "display-text":
			return r.into(&d.DisplayText)
		case "subject":
			return r.into(&d.Subject)
		case "free-text":
			return r.into(&d.FreeText)
		case "keywords":
			return r.words(&d.Keywords)
		case "conf-uris":
			return r.uris(&d.ConfURIs)
		case "service-uris":
			return r.uris(&d.ServiceURIs)
		case "maximum-user-count":
			return r.number(&d.MaximumUserCount)
		case "available-media":
			return r.availableMedia(d)
		}
		return r.skip()
	})
}

func (r *reader) availableMedia(d *Description) error {
	return r.own(nil, func(name string, s xml.StartElement) error {
		if name != "entry" {
			return r.skip()
		}
		label, err := key(s, "label")
		if err != nil {
			return err
		}
		var m AvailableMedia
		err = r.own(nil, func(name string, _ xml.StartElement) error {
			switch name {
			case "display-text":
				return r.into(&m.DisplayText)
			case "type":
				return r.into(&m.Type)
			case "status":
				return r.token(&m.Status)
			}
			return r.skip()
		})
		if err != nil {
			return err
		}
		return put(&d.AvailableMedia, label, m)
	})
}

// uris reads a list of URIs. The schema gives it a state, but it does not take
// part in partial updates: it is read as a whole (trap e).
func (r *reader) uris(dst *[]URIEntry) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		if name != "entry" {
			return r.skip()
		}
		e, err := r.uri()
		*dst = append(*dst, e)
		return err
	})
}

func (r *reader) uri() (e URIEntry, err error) {
	err = r.own(nil, func(name string, _ xml.StartElement) error {
		switch name {
		case "uri":
			return r.token(&e.URI)
		case "display-text":
			return r.into(&e.DisplayText)
		case "purpose":
			return r.into(&e.Purpose)
		case "modified":
			return r.execution(&e.Modified)
		}
		return r.skip()
	})
	return e, err
}

func (r *reader) execution(dst **Execution) error {
	x := &Execution{}
	*dst = x
	return r.own(nil, func(name string, _ xml.StartElement) error {
		switch name {
		case "when":
			return r.token(&x.When)
		case "reason":
			return r.into(&x.Reason)
		case "by":
			return r.token(&x.By)
		}
		return r.skip()
	})
}

func (r *reader) host(h *Host) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		switch name {
		case "display-text":
			return r.into(&h.DisplayText)
		case "web-page":
			return r.token(&h.WebPage)
		case "uris":
			return r.uris(&h.URIs)
		}
		return r.skip()
	})
}

func (r *reader) conferenceState(c *ConferenceState) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		switch name {
		case "user-count":
			return r.number(&c.UserCount)
		case "active":
			return r.boolean(&c.Active)
		case "locked":
			return r.boolean(&c.Locked)
		}
		return r.skip()
	})
}

func (r *reader) users(u *Users, s xml.StartElement, parent State) (err error) {
	if u.State, err = state(s); err != nil {
		return err
	}
	if r.how.LenientUsers && parent == Partial && !has(s, "state") {
		u.State = Partial
	}
	return r.own(nil, func(name string, s xml.StartElement) error {
		if name != "user" {
			return r.skip()
		}
		entity, err := key(s, "entity")
		if err != nil {
			return err
		}
		row, err := r.user(s)
		if err != nil {
			return err
		}
		return put(&u.User, entity, row)
	})
}

func (r *reader) user(s xml.StartElement) (*User, error) {
	u := &User{}
	var err error
	if u.State, err = state(s); err != nil {
		return nil, err
	}
	var ext UserExt
	err = r.own(&ext.UserMembers, func(name string, s xml.StartElement) error {
		switch name {
		case "display-text":
			return r.into(&u.DisplayText)
		case "associated-aors":
			return r.uris(&u.AssociatedAORs)
		case "roles":
			return r.entries(&u.Roles)
		case "languages":
			return r.words(&u.Languages)
		case "cascaded-focus":
			return r.token(&u.CascadedFocus)
		case "endpoint":
			return r.endpointRow(u, s)
		}
		return r.skip()
	})
	u.Ext = present(ext)
	return u, err
}

func (r *reader) entries(dst *[]string) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		if name != "entry" {
			return r.skip()
		}
		v, err := r.text()
		*dst = append(*dst, v)
		return err
	})
}

func (r *reader) endpointRow(u *User, s xml.StartElement) error {
	entity, err := key(s, "entity")
	if err != nil {
		return err
	}
	e := &Endpoint{}
	if e.State, err = state(s); err != nil {
		return err
	}
	var ext EndpointExt
	if err := r.own(&ext.EndpointMembers, func(name string, s xml.StartElement) error { return r.endpoint(e, name, s) }); err != nil {
		return err
	}
	e.Ext = present(ext)
	return put(&u.Endpoint, entity, e)
}

func (r *reader) endpoint(e *Endpoint, name string, s xml.StartElement) error {
	switch name {
	case "display-text":
		return r.into(&e.DisplayText)
	case "referred":
		return r.execution(&e.Referred)
	case "status":
		return r.token(&e.Status)
	case "joining-method":
		return r.token(&e.JoiningMethod)
	case "joining-info":
		return r.execution(&e.JoiningInfo)
	case "disconnection-method":
		return r.token(&e.DisconnectionMethod)
	case "disconnection-info":
		return r.execution(&e.DisconnectionInfo)
	case "media":
		return r.mediaRow(e, s)
	case "call-info":
		return r.callInfo(e)
	}
	return r.skip()
}

func (r *reader) mediaRow(e *Endpoint, s xml.StartElement) error {
	id, err := key(s, "id")
	if err != nil {
		return err
	}
	var m Media
	err = r.own(&m.Ext.MediaMembers, func(name string, _ xml.StartElement) error {
		switch name {
		case "display-text":
			return r.into(&m.DisplayText)
		case "type":
			return r.into(&m.Type)
		case "label":
			return r.into(&m.Label)
		case "src-id":
			return r.into(&m.SrcID)
		case "status":
			return r.token(&m.Status)
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	return put(&e.Media, id, m)
}

// callInfo reads the SIP dialog; other kinds are foreign and ignored.
func (r *reader) callInfo(e *Endpoint) error {
	return r.own(nil, func(name string, _ xml.StartElement) error {
		if name != "sip" {
			return r.skip()
		}
		c := &CallInfo{}
		e.CallInfo = c
		return r.own(nil, func(name string, _ xml.StartElement) error {
			switch name {
			case "display-text":
				return r.into(&c.DisplayText)
			case "call-id":
				return r.into(&c.CallID)
			case "from-tag":
				return r.into(&c.FromTag)
			case "to-tag":
				return r.into(&c.ToTag)
			}
			return r.skip()
		})
	})
}

func (r *reader) byRef(l *SidebarsByRef, s xml.StartElement) (err error) {
	if l.State, err = state(s); err != nil {
		return err
	}
	return r.own(nil, func(name string, _ xml.StartElement) error {
		if name != "entry" {
			return r.skip()
		}
		e, err := r.uri()
		if err != nil {
			return err
		}
		uri := e.URI
		if e.URI = ""; uri == "" {
			return malformed("sidebar without uri")
		}
		return put(&l.Entry, uri, e)
	})
}

func (r *reader) byVal(l *SidebarsByVal, s xml.StartElement, level int) (err error) {
	if l.State, err = state(s); err != nil {
		return err
	}
	return r.own(nil, func(name string, s xml.StartElement) error {
		if name != "entry" {
			return r.skip()
		}
		entity, err := key(s, "entity")
		if err != nil {
			return err
		}
		d, err := r.conference(s, level+1)
		if err != nil {
			return err
		}
		return put(&l.Entry, entity, d)
	})
}
