package control

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// chat is what people wrote: the last messages, for those who come later. A
// message says nothing about the conference, so it makes no revision.
type chat struct {
	m       *Machine
	seq     uint64
	history []chatLine
	bytes   int
	sent    map[*model.Participant][]clock.Time // of the last second
}

// chatLine is a message and whom it is for.
type chatLine struct {
	api.ChatMessage
	users []string // the only ones who may read it; nil: all
	roles []api.Role
}

// Caps of chat. The text's is one of the limits in the welcome message; the
// history's keep a conference's memory small and a newcomer's first frame
// below the frame limit.
const (
	maxChatText    = 8 << 10
	maxChatTo      = 50
	chatRate       = 5 // messages a second and person
	keptMessages   = 200
	keptBytes      = 128 << 10
	roleAddressing = "role:"
)

func sendChat(m *Machine, t *turn, p api.ChatParams) (any, error) {
	x, by := &m.chat, t.dev.Part
	if err := checkChat(p); err != nil {
		return nil, err
	}
	if !m.cfg.Policy.MayChat(by.Role) || t.caller.By.Limits.NoChat {
		return nil, errForbidden()
	}
	users, roles, err := x.addressees(p.To)
	if err != nil {
		return nil, err
	}
	if err := x.pace(t.now, by); err != nil {
		return nil, err
	}
	x.seq++
	line := chatLine{ChatMessage: api.ChatMessage{
		ID: "msg_" + strconv.FormatUint(x.seq, 10), At: Wall(m.cfg.Anchor, t.now), From: by.User, Name: by.Name,
		Text: p.Text, To: p.To, ReplyTo: p.ReplyTo, CID: p.CID,
	}, roles: roles}
	if len(p.To) > 0 {
		line.users = append(users, by.User)
	}
	x.keep(line)
	x.tell(t, line)
	return api.ChatReceipt{ID: line.ID, At: line.At}, nil
}

func checkChat(p api.ChatParams) error {
	switch {
	case len(p.Text) > maxChatText:
		return fault.New(413, "too-large", "at most %d bytes of text", maxChatText)
	case strings.TrimSpace(p.Text) == "" || !utf8.ValidString(p.Text) || strings.ContainsFunc(p.Text, strange):
		return errBadParams("text")
	case len(p.To) > maxChatTo:
		return errBadParams("to")
	case p.CID != "" && !validToken(p.CID), p.ReplyTo != "" && !validToken(p.ReplyTo):
		return errBadParams("cid or replyTo")
	}
	return nil
}

// strange reports controls other than those of written text.
func strange(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// addressees turns participants and roles into whom a message is for.
func (x *chat) addressees(to []string) (users []string, roles []api.Role, err error) {
	for _, a := range to {
		if role, ok := strings.CutPrefix(a, roleAddressing); ok {
			if !policy.Known(api.Role(role)) || role == string(api.RoleLobby) {
				return nil, nil, errBadParams("to")
			}
			roles = append(roles, api.Role(role))
			continue
		}
		p, err := x.m.devices.part(a)
		if err != nil || p.State != model.Joined {
			return nil, nil, errNoPart()
		}
		users = append(users, p.User)
	}
	return users, roles, nil
}

// pace lets a person write so many messages in any second.
func (x *chat) pace(now clock.Time, p *model.Participant) error {
	if x.sent == nil {
		x.sent = map[*model.Participant][]clock.Time{}
	}
	recent := slices.DeleteFunc(x.sent[p], func(at clock.Time) bool { return now.Sub(at) >= time.Second })
	x.sent[p] = recent
	if len(recent) >= chatRate {
		e := fault.New(429, "too-many", "at most %d messages a second", chatRate)
		e.RetryAfter = time.Second - now.Sub(recent[0])
		return e
	}
	x.sent[p] = append(recent, now)
	return nil
}

func (x *chat) keep(l chatLine) {
	x.history = append(x.history, l)
	x.bytes += len(l.Text)
	for len(x.history) > keptMessages || x.bytes > keptBytes {
		x.bytes -= len(x.history[0].Text)
		x.history = slices.Delete(x.history, 0, 1)
	}
}

// tell sends a message to those it is for, its author among them.
func (x *chat) tell(t *turn, l chatLine) {
	e := Event{Name: "chat.message", Chat: true, Fields: l.fields()}
	if l.users != nil {
		e.Users = slices.Clone(l.users)
		for _, p := range x.m.conf.Participants {
			if p.State == model.Joined && slices.Contains(l.roles, p.Role) && !slices.Contains(e.Users, p.User) {
				e.Users = append(e.Users, p.User)
			}
		}
		slices.Sort(e.Users)
		e.Users = slices.Compact(e.Users)
	}
	t.out.Events = append(t.out.Events, e)
}

// fields are the event's body: those of api.ChatMessage.
func (l chatLine) fields() map[string]any {
	m := map[string]any{"id": l.ID, "at": l.At, "from": l.From, "name": l.Name, "text": l.Text}
	if len(l.To) > 0 {
		m["to"] = l.To
	}
	if l.ReplyTo != "" {
		m["replyTo"] = l.ReplyTo
	}
	if l.CID != "" {
		m["cid"] = l.CID
	}
	return m
}

func (x *chat) forget(p *model.Participant) { delete(x.sent, p) }

// ChatHistory returns what a person may read of what was written lately.
func (m *Machine) ChatHistory(p *model.Participant) api.ChatHistory {
	out := api.ChatHistory{Messages: []api.ChatMessage{}}
	for _, l := range m.chat.history {
		if l.users == nil || slices.Contains(l.users, p.User) || slices.Contains(l.roles, p.Role) {
			out.Messages = append(out.Messages, l.ChatMessage)
		}
	}
	return out
}
