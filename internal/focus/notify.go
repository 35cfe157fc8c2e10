package focus

import (
	"encoding/json"
	"slices"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/conference/notify"
	"parley/internal/conference/policy"
)

// Packages a session can subscribe to.
const (
	pkgConference = "conference"
	pkgSpeakers   = "speakers"
	pkgChat       = "chat"
	pkgStats      = "stats"
)

var packages = map[string]bool{pkgConference: true, pkgSpeakers: true, pkgChat: true, pkgStats: true}

// notifier carries what [notify.Notifier] decides to the sessions, and events
// beside it. Documents are built, compared and encoded once for a class of
// subscribers; see there.
type notifier struct {
	r    *room
	view info.View // of the administration: everything
	docs *notify.Notifier
	subs map[subKey]*subscription
	list []*subscription // in the order they came
	rev  uint64          // who is still here was looked up at this revision
	out  []notify.Notice // scratch

	stats statistics
}

type subKey struct {
	session ids.Session
	pkg     string
}

// subscription is one session's interest in one package.
type subscription struct {
	key      subKey
	name     string
	session  *session
	outsider bool                 // subscribed without having joined
	doc      *notify.Subscription // of package conference
	stats    *measuring           // of package stats
}

func (n *notifier) init(r *room) {
	n.r, n.subs = r, map[subKey]*subscription{}
	n.view = info.View{
		Anchor: r.f.cfg.Clock.Anchor(), MaxUsers: r.f.cfg.Policy.MaxUsers, Labels: control.Labels, Group: info.Moderators,
	}
	n.docs = notify.New(n.view, r.m.Conference())
}

func (n *notifier) due() clock.Time { return n.docs.Deadline() }

// subscribe starts, refreshes or ends a subscription. A full document follows
// the answer (RFC 6665, section 4.2.1.2).
func (n *notifier) subscribe(now clock.Time, it *item) {
	s := it.sub
	if !packages[s.Package] {
		it.refuse(fault.New(489, "unknown-package", "no such package"))
		return
	}
	joined := n.member(it.caller.Session)
	waits := !joined && n.r.m.Device(it.caller.Session) != nil && s.Package == pkgConference // sees its own row
	if !joined && !waits && !n.outsider(it.caller.By) {
		it.refuse(fault.New(403, "forbidden", "join first"))
		return
	}
	outsider := !joined && !waits
	key := subKey{it.caller.Session, s.Package}
	sub := n.subs[key]
	var wish measuring
	if s.Package == pkgStats {
		d := n.r.m.Device(it.caller.Session)
		var err error
		if wish, err = readStatsFilter(s.Filter, outsider || d != nil && policy.AtLeast(d.Part.Role, "moderator"), outsider); err != nil {
			it.refuse(err)
			return
		}
		wish.once = s.ExpiresS != nil && *s.ExpiresS == 0
	}
	if sub == nil {
		sub = &subscription{key: key, name: string(ids.NewSubscription()), session: it.session}
		n.subs[key] = sub
		n.list = append(n.list, sub)
	}
	sub.outsider = outsider
	it.succeed(api.SubscribeResult{Sub: sub.name})
	switch s.Package {
	case pkgConference:
		n.document(now, sub)
	case pkgChat:
		n.history(sub)
	case pkgStats:
		n.wantStats(now, sub, wish)
		return
	}
	if s.ExpiresS != nil && *s.ExpiresS == 0 {
		n.remove(sub)
	}
}

// document answers a subscribe with a full document.
func (n *notifier) document(now clock.Time, s *subscription) {
	user := ""
	if d := n.r.m.Device(s.key.session); d != nil {
		user = d.Part.User
	}
	n.docs.Update(n.r.m.Users())
	if s.doc != nil && s.doc.User() == user {
		n.deliver(n.docs.Again(now, s.doc, n.out[:0]))
		return
	}
	o := notify.Options{User: user, Group: info.Moderators, Owner: s}
	if s.doc != nil { // it watched from outside and has joined
		o.Version = s.doc.Version()
		n.docs.Drop(s.doc)
	}
	var out []notify.Notice
	s.doc, out = n.docs.Subscribe(now, o, n.out[:0])
	n.deliver(out)
}

// outsider reports whether somebody may watch without having joined.
func (n *notifier) outsider(by control.Principal) bool {
	here := (by.Room == "" || by.Room == n.r.uri) && !n.r.m.Banned(n.r.f.cfg.Clock.Now(), by.Subject)
	return by.Service || here && policy.AtLeast(by.Role, "moderator")
}

// settle sends each subscriber what it lacks.
func (n *notifier) settle(now clock.Time) {
	if n.r.over {
		return
	}
	if rev := n.r.m.Conference().Rev; rev != n.rev {
		n.rev = rev
		for _, s := range n.absent() {
			n.remove(s)
		}
		n.docs.Update(n.r.m.Users())
	}
	n.deliver(n.docs.Flush(now, n.out[:0]))
}

// absent lists the subscriptions of sessions that have no device any more.
func (n *notifier) absent() (out []*subscription) {
	for _, s := range n.list {
		if !s.outsider && n.r.m.Device(s.key.session) == nil {
			out = append(out, s)
		}
	}
	return out
}

// drop forgets the subscriptions of a session that ended.
func (n *notifier) drop(id ids.Session) {
	for pkg := range packages {
		if s := n.subs[subKey{id, pkg}]; s != nil {
			n.remove(s)
		}
	}
}

func (n *notifier) remove(s *subscription) {
	delete(n.subs, s.key)
	if i := slices.Index(n.list, s); i >= 0 {
		n.list = slices.Delete(n.list, i, i+1)
	}
	if s.doc != nil {
		n.docs.Drop(s.doc)
	}
}

func (n *notifier) deliver(list []notify.Notice) {
	for i := range list {
		x := &list[i]
		s := x.Sub.Owner().(*subscription)
		(*s.session.sink.Load()).Notify(&api.Notify{
			Kind: "notify", Sub: s.name, Conf: string(n.r.id), Package: pkgConference,
			State: string(x.State), Version: x.Version, Body: x.Body,
		})
		if x.Life.Reason == notify.Deactivated {
			n.notify(s, pkgConference, "subscription.terminated", json.RawMessage(`{"reason":"deactivated"}`))
			n.remove(s)
		}
	}
	clear(list)
	n.out = list[:0]
}

// event sends one to its session or to every subscriber of the package.
func (n *notifier) event(e *control.Event) {
	if e.To != "" {
		n.direct(e.To, e.Name, n.veiledFor(e.To, e).JSON())
		return
	}
	var body, veiled json.RawMessage
	for _, s := range n.list {
		switch {
		case !n.hears(s, e):
		case n.knows(s.key.session):
			if body == nil {
				body = e.JSON()
			}
			n.notify(s, s.key.pkg, e.Name, body)
		default:
			if veiled == nil {
				veiled = n.veil(e).JSON()
			}
			n.notify(s, s.key.pkg, e.Name, veiled)
		}
	}
}

func (n *notifier) notify(s *subscription, pkg, name string, body json.RawMessage) {
	(*s.session.sink.Load()).Notify(&api.Notify{
		Kind: "notify", Sub: s.name, Conf: string(n.r.id), Package: pkg, Event: name, Body: body,
	})
}

// direct sends an event to one session, subscribed or not.
func (n *notifier) direct(to ids.Session, name string, body json.RawMessage) {
	if s := n.r.sessions[to]; s != nil {
		(*s.sink.Load()).Notify(&api.Notify{
			Kind: "notify", Conf: string(n.r.id), Package: pkgConference, Event: name, Body: body,
		})
	}
}

func (n *notifier) needed(to ids.Session, m api.MediaNeeded) { n.tellJSON(to, "media.needed", m) }

// tellJSON tells one session an event whose body is of strings and numbers.
func (n *notifier) tellJSON(to ids.Session, name string, body any) {
	b, _ := json.Marshal(body)
	n.direct(to, name, b)
}

func (n *notifier) speakers(body api.SpeakerActive) {
	b, _ := json.Marshal(body) // strings and numbers
	told := map[ids.Session]bool{}
	for _, s := range n.list {
		if d := n.r.m.Device(s.key.session); s.stats != nil || d != nil && d.Part.State == model.Lobby {
			continue
		}
		if !told[s.key.session] {
			told[s.key.session] = true
			n.notify(s, pkgSpeakers, "speaker.active", b)
		}
	}
}

// finish ends every subscription with one document of state deleted.
func (n *notifier) finish() {
	n.deliver(n.docs.Finish(n.out[:0]))
	n.subs, n.list = map[subKey]*subscription{}, nil
}
