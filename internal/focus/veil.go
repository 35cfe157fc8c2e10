package focus

import (
	"maps"
	"slices"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
)

// Events name people as documents do: who is anonymous goes by an alias to all
// but moderators.

// knows reports whether a session may be told who the anonymous are.
func (n *notifier) knows(id ids.Session) bool {
	d := n.r.m.Device(id)
	return d == nil || info.GroupOf(d.Part) != info.Members // an outsider is a moderator's
}

// veiledFor returns an event as one session may see it.
func (n *notifier) veiledFor(id ids.Session, e *control.Event) *control.Event {
	if n.knows(id) {
		return e
	}
	return n.veil(e)
}

// veil returns an event with aliases for people. It is the event itself when it
// names nobody who is anonymous.
func (n *notifier) veil(e *control.Event) *control.Event {
	c, v := n.r.m.Conference(), info.View{Group: info.Members}
	out := *e
	out.By = v.Name(c, e.By)
	whose, ok := e.Fields["user"].(string)
	if !ok {
		whose, _ = e.Fields["from"].(string) // a chat message
	}
	if from, ok := e.Fields["from"].(string); ok { // of a chat message
		whose = from
	}
	put := func(k string, v any) {
		if out.Fields = maps.Clone(out.Fields); out.Fields != nil {
			out.Fields[k] = v
		}
	}
	for k, val := range e.Fields {
		switch val := val.(type) {
		case string:
			if k == "text" || k == "cid" { // what people wrote stays as it is
				continue
			}
			if k == "name" && v.Hides(c, whose) {
				put(k, v.DisplayText(c, whose))
			} else if alias := v.Name(c, val); alias != val {
				put(k, alias)
			}
		case ids.Device:
			if alias := v.Device(c, whose, val); alias != string(val) {
				put(k, alias)
			}
		}
	}
	return &out
}

// veilChat puts aliases into what was written before.
func (n *notifier) veilChat(h *api.ChatHistory) {
	c, v := n.r.m.Conference(), info.View{Group: info.Members}
	h.Messages = slices.Clone(h.Messages)
	for i := range h.Messages {
		if m := &h.Messages[i]; v.Hides(c, m.From) {
			m.From, m.Name = v.Name(c, m.From), v.DisplayText(c, m.From)
		}
	}
}
