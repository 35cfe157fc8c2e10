package focus

import (
	"encoding/json"
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

func gone() error { return fault.New(410, "gone", "no longer in the conference") }

// Message implements [control.Port]: chat and the like. Nothing is answered,
// so what cannot be done is dropped.
func (f *Focus) Message(c control.Caller, m *api.Message) {
	if !control.OneWay(m.Method) {
		return
	}
	it := f.newItem(c, &api.Request{Method: m.Method, Conf: m.Conf, Params: m.Params})
	if it.err != nil || it.uri == "" {
		return
	}
	if p, ok := it.params.(api.ChatParams); ok && len(p.To) == 0 && len(m.To) > 0 {
		if json.Unmarshal(m.To, &p.To) != nil { // better unsent than sent to everybody
			return
		}
		it.params = p
	}
	f.route(it)
}

// member reports whether a session has joined; who waits in the lobby has not.
func (n *notifier) member(s ids.Session) bool {
	d := n.r.m.Device(s)
	return d != nil && d.Part.State != model.Lobby
}

// hears reports whether an event is for a subscriber.
func (n *notifier) hears(s *subscription, e *control.Event) bool {
	if e.Chat != (s.key.pkg == pkgChat) || s.key.pkg == pkgSpeakers || s.key.pkg == pkgStats {
		return false
	}
	d := n.r.m.Device(s.key.session)
	switch {
	case d == nil && s.outsider: // a moderator's token or a service key
		return e.Users == nil
	case d == nil: // left in this very turn, and is told so
		return e.Users == nil && e.Least == ""
	case d.Part.State == model.Lobby:
		return false
	case e.Least != "" && !policy.AtLeast(d.Part.Role, e.Least):
		return false
	}
	return e.Users == nil || slices.Contains(e.Users, d.Part.User)
}

// history sends a new subscriber of package chat what was written lately.
func (n *notifier) history(s *subscription) {
	body := api.ChatHistory{Messages: []api.ChatMessage{}}
	if d := n.r.m.Device(s.key.session); d != nil {
		if body = n.r.m.ChatHistory(d.Part); !n.knows(s.key.session) {
			n.veilChat(&body)
		}
	}
	if c, v := n.r.m.Conference(), (info.View{Group: info.Members}); !n.knows(s.key.session) {
		for i := range body.Messages {
			if m := &body.Messages[i]; v.Hides(c, m.From) {
				m.From, m.Name = v.Name(c, m.From), v.DisplayText(c, m.From)
			}
		}
	}
	b, _ := json.Marshal(body) // strings
	(*s.session.sink.Load()).Notify(&api.Notify{
		Kind: "notify", Sub: s.name, Conf: string(n.r.id), Package: pkgChat, State: string(info.Full), Body: b,
	})
}
