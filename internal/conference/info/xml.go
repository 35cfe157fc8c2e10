package info

import (
	"bytes"
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// MediaType is that of the XML document (RFC 4575, section 8.2).
const MediaType = "application/conference-info+xml"

// AppendXML appends the document as application/conference-info+xml: children
// in the schema's order, rows in the order of their keys, state on everything
// that has one, our own members in a name space of their own.
func AppendXML(b []byte, d *Document) []byte {
	w := &writer{b: b}
	w.raw(xmlHead)
	w.raw(`<conference-info xmlns="` + Namespace + `" xmlns:p="` + ExtNamespace + `"`)
	w.attr("entity", d.Entity)
	w.state(d.State)
	w.attr("version", strconv.FormatUint(uint64(d.Version), 10))
	w.raw(">")
	w.conference(d)
	w.raw("</conference-info>\n")
	return w.b
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// writer appends XML. Elements that would be empty are left out, as in JSON.
type writer struct{ b []byte }

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

// escaped appends text that cannot end its place; what XML 1.0 cannot carry
// becomes U+FFFD.
func (w *writer) escaped(s string) {
	if !strings.ContainsFunc(s, special) {
		w.raw(s)
		return
	}
	buf := bytes.NewBuffer(w.b)
	_ = xml.EscapeText(buf, []byte(s)) // a Buffer takes everything
	w.b = buf.Bytes()
}

func special(r rune) bool {
	return r < ' ' || r == '&' || r == '<' || r == '>' || r == '"' || r == '\'' || r >= 0xD800
}

func (w *writer) attr(name, v string) {
	w.raw(" " + name + `="`)
	w.escaped(v)
	w.raw(`"`)
}

func (w *writer) state(s State) {
	if s == "" {
		s = Full
	}
	w.attr("state", string(s))
}

func (w *writer) text(name, v string) {
	if v == "" {
		return
	}
	w.raw("<" + name + ">")
	w.escaped(v)
	w.raw("</" + name + ">")
}

func (w *writer) number(name string, v *uint32) {
	if v != nil {
		w.text(name, strconv.FormatUint(uint64(*v), 10))
	}
}

func (w *writer) boolean(name string, v *bool) {
	if v != nil {
		w.text(name, strconv.FormatBool(*v))
	}
}

// in wraps what a function writes.
func (w *writer) in(name string, inside func()) {
	w.raw("<" + name + ">")
	inside()
	w.raw("</" + name + ">")
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// conference writes the children of the root or of a sidebar's entry.
func (w *writer) conference(d *Document) {
	if d.Description != nil {
		w.in("conference-description", func() { w.description(d.Description) })
	}
	if h := d.Host; h != nil {
		w.in("host-info", func() {
			w.text("display-text", h.DisplayText)
			w.text("web-page", h.WebPage)
			w.uris("uris", h.URIs)
		})
	}
	if s := d.ConferenceState; s != nil {
		w.in("conference-state", func() {
			w.number("user-count", s.UserCount)
			w.boolean("active", s.Active)
			w.boolean("locked", s.Locked)
		})
	}
	w.users(d.Users)
	w.byRef(d.SidebarsByRef)
	w.byVal(d.SidebarsByVal)
	if d.Ext != nil {
		w.members(d.Ext.ConferenceMembers)
	}
}

func (w *writer) description(d *Description) {
	w.text("display-text", d.DisplayText)
	w.text("subject", d.Subject)
	w.text("free-text", d.FreeText)
	w.text("keywords", strings.Join(d.Keywords, " "))
	w.uris("conf-uris", d.ConfURIs)
	w.uris("service-uris", d.ServiceURIs)
	w.number("maximum-user-count", d.MaximumUserCount)
	if len(d.AvailableMedia) == 0 {
		return
	}
	w.in("available-media", func() {
		for _, label := range sorted(d.AvailableMedia) {
			m := d.AvailableMedia[label]
			w.raw("<entry")
			w.attr("label", label)
			w.raw(">")
			w.text("display-text", m.DisplayText)
			w.raw("<type>") // the schema wants it, even when empty
			w.escaped(m.Type)
			w.raw("</type>")
			w.text("status", m.Status)
			w.raw("</entry>")
		}
	})
}

func (w *writer) uris(name string, list []URIEntry) {
	if len(list) == 0 {
		return
	}
	w.in(name, func() {
		for i := range list {
			w.uri(list[i].URI, &list[i])
		}
	})
}

func (w *writer) uri(uri string, e *URIEntry) {
	w.raw("<entry><uri>")
	w.escaped(uri)
	w.raw("</uri>")
	w.text("display-text", e.DisplayText)
	w.text("purpose", e.Purpose)
	w.execution("modified", e.Modified)
	w.raw("</entry>")
}

func (w *writer) execution(name string, x *Execution) {
	if x != nil {
		w.in(name, func() {
			w.text("when", x.When)
			w.text("reason", x.Reason)
			w.text("by", x.By)
		})
	}
}

func (w *writer) strings(name string, list []string) {
	if len(list) > 0 {
		w.in(name, func() {
			for _, s := range list {
				w.raw("<entry>")
				w.escaped(s)
				w.raw("</entry>")
			}
		})
	}
}

func (w *writer) users(u *Users) {
	if u == nil {
		return
	}
	w.raw("<users")
	w.state(u.State)
	w.raw(">")
	for _, key := range sorted(u.User) {
		w.user(key, u.User[key])
	}
	w.raw("</users>")
}

func (w *writer) user(key string, u *User) {
	w.raw("<user")
	w.attr("entity", key)
	w.state(u.State)
	w.raw(">")
	w.text("display-text", u.DisplayText)
	w.uris("associated-aors", u.AssociatedAORs)
	w.strings("roles", u.Roles)
	w.text("languages", strings.Join(u.Languages, " "))
	w.text("cascaded-focus", u.CascadedFocus)
	for _, id := range sorted(u.Endpoint) {
		w.endpoint(id, u.Endpoint[id])
	}
	if u.Ext != nil {
		w.members(u.Ext.UserMembers)
	}
	w.raw("</user>")
}

func (w *writer) endpoint(key string, e *Endpoint) {
	w.raw("<endpoint")
	w.attr("entity", key)
	w.state(e.State)
	w.raw(">")
	w.text("display-text", e.DisplayText)
	w.execution("referred", e.Referred)
	w.text("status", e.Status)
	w.text("joining-method", e.JoiningMethod)
	w.execution("joining-info", e.JoiningInfo)
	w.text("disconnection-method", e.DisconnectionMethod)
	w.execution("disconnection-info", e.DisconnectionInfo)
	for _, id := range sorted(e.Media) {
		w.media(id, e.Media[id])
	}
	if c := e.CallInfo; c != nil {
		w.raw("<call-info><sip>")
		w.text("display-text", c.DisplayText)
		for _, f := range [...][2]string{{"call-id", c.CallID}, {"from-tag", c.FromTag}, {"to-tag", c.ToTag}} {
			w.raw("<" + f[0] + ">")
			w.escaped(f[1])
			w.raw("</" + f[0] + ">")
		}
		w.raw("</sip></call-info>")
	}
	if e.Ext != nil {
		w.members(e.Ext.EndpointMembers)
	}
	w.raw("</endpoint>")
}

func (w *writer) media(id string, m Media) {
	w.raw("<media")
	w.attr("id", id)
	w.raw(">")
	w.text("display-text", m.DisplayText)
	w.text("type", m.Type)
	w.text("label", m.Label)
	w.text("src-id", m.SrcID)
	w.text("status", m.Status)
	w.members(m.Ext.MediaMembers)
	w.raw("</media>")
}

// byRef writes at least one entry: the schema wants it even in a list that is
// deleted (trap d).
func (w *writer) byRef(s *SidebarsByRef) {
	if s == nil {
		return
	}
	w.raw("<sidebars-by-ref")
	w.state(s.State)
	w.raw(">")
	for _, key := range sorted(s.Entry) {
		e := s.Entry[key]
		w.uri(key, &e)
	}
	w.raw("</sidebars-by-ref>")
}

func (w *writer) byVal(s *SidebarsByVal) {
	if s == nil {
		return
	}
	w.raw("<sidebars-by-val")
	w.state(s.State)
	w.raw(">")
	for _, key := range sorted(s.Entry) {
		e := s.Entry[key]
		w.raw("<entry")
		w.attr("entity", key)
		w.state(e.State)
		if e.Version != 0 {
			w.attr("version", strconv.FormatUint(uint64(e.Version), 10))
		}
		w.raw(">")
		w.conference(e)
		w.raw("</entry>")
	}
	w.raw("</sidebars-by-val>")
}
