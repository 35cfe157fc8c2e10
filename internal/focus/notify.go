package focus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/policy"
)

// throttle is the shortest time between two documents to one WebSocket
// subscriber; changes in between go together.
const throttle = 100 * time.Millisecond

// Packages a session can subscribe to.
const (
	pkgConference = "conference"
	pkgSpeakers   = "speakers"
	pkgChat       = "chat"
)

var packages = map[string]bool{pkgConference: true, pkgSpeakers: true, pkgChat: true}

// notifier keeps a room's subscriptions and sends them events and documents.
// Diff and encoding are done once for all subscribers that have the same
// document; each has only a version of its own.
type notifier struct {
	r    *room
	view info.View
	doc  *info.Document
	subs map[subKey]*subscription
	wait clock.Time // a throttled document is due
	seen uint64     // revision the documents were built for
}

type subKey struct {
	session ids.Session
	pkg     string
}

// subscription is one subscriber's view of the document.
type subscription struct {
	key      subKey
	name     string
	order    uint64
	session  *session
	outsider bool // subscribed without having joined
	version  uint32
	have     *info.Document
	next     clock.Time // not before
}

func (n *notifier) init(r *room) {
	n.r, n.subs = r, map[subKey]*subscription{}
	n.view = info.View{Anchor: r.f.cfg.Clock.Anchor(), MaxUsers: r.f.cfg.Policy.MaxUsers, Labels: control.Labels}
}

func (n *notifier) due() clock.Time { return n.wait }

// subscribe starts, refreshes or ends a subscription. A full document follows
// the answer (RFC 6665, section 4.2.1.2).
func (n *notifier) subscribe(now clock.Time, it *item) {
	s := it.sub
	if !packages[s.Package] {
		it.refuse(fault.New(489, "unknown-package", "no such package"))
		return
	}
	joined := n.member(it.caller.Session)
	if !joined && !n.outsider(it.caller.By) {
		it.refuse(fault.New(403, "forbidden", "join first"))
		return
	}
	key := subKey{it.caller.Session, s.Package}
	ends := s.ExpiresS != nil && *s.ExpiresS == 0
	sub := n.subs[key]
	if sub == nil {
		sub = &subscription{key: key, name: string(ids.NewSubscription()), session: it.session}
		sub.order = uint64(len(n.subs))
		if !ends {
			n.subs[key] = sub
		}
	}
	sub.outsider = !joined
	if ends {
		delete(n.subs, key)
	}
	it.succeed(api.SubscribeResult{Sub: sub.name})
	switch s.Package {
	case pkgConference:
		n.build()
		n.full(now, sub)
	case pkgChat:
		n.history(sub)
	}
}

// outsider reports whether somebody may watch without having joined.
func (n *notifier) outsider(by control.Principal) bool {
	here := (by.Room == "" || by.Room == n.r.uri) && !n.r.m.Banned(n.r.f.cfg.Clock.Now(), by.Subject)
	return by.Service || here && policy.AtLeast(by.Role, "moderator")
}

func (n *notifier) build() {
	c := n.r.m.Conference()
	if n.doc == nil || n.seen != c.Rev {
		n.doc = info.Build(c, n.r.m.Users(), n.view, n.doc)
		n.seen = c.Rev
	}
}

// full sends the whole document with the next version.
func (n *notifier) full(now clock.Time, s *subscription) {
	s.version++
	s.have, s.next = n.doc, now.Add(throttle)
	n.send(s, encode(n.doc), info.Full)
}

// settle sends each subscriber what it lacks, or notes when it may.
func (n *notifier) settle(now clock.Time) {
	if len(n.subs) == 0 || n.r.over {
		return
	}
	n.build()
	n.wait = 0
	made := map[*info.Document]*encoded{}
	for _, s := range n.inOrder() {
		switch {
		case n.r.m.Device(s.key.session) == nil && !s.outsider:
			delete(n.subs, s.key)
		case s.key.pkg != pkgConference || s.have == n.doc:
		case now < s.next:
			n.wait = clock.Earliest(n.wait, s.next)
		default:
			n.update(now, s, made)
		}
	}
}

// drop forgets the subscriptions of a session that ended.
func (n *notifier) drop(s ids.Session) {
	for pkg := range packages {
		delete(n.subs, subKey{s, pkg})
	}
}

func (n *notifier) update(now clock.Time, s *subscription, made map[*info.Document]*encoded) {
	e := made[s.have]
	if e == nil {
		e = encodeDiff(s.have, n.doc)
		made[s.have] = e
	}
	s.have = n.doc
	if e.state == "" {
		return
	}
	s.version++
	s.next = now.Add(throttle)
	n.send(s, e, e.state)
}

func (n *notifier) inOrder() []*subscription {
	out := make([]*subscription, 0, len(n.subs))
	for _, s := range n.subs {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *subscription) int {
		if c := cmp.Compare(a.order, b.order); c != 0 {
			return c
		}
		return cmp.Compare(a.name, b.name)
	})
	return out
}

func (n *notifier) send(s *subscription, e *encoded, state info.State) {
	(*s.session.sink.Load()).Notify(&api.Notify{
		Kind: "notify", Sub: s.name, Conf: string(n.r.id), Package: pkgConference,
		State: string(state), Version: s.version, Body: e.with(s.version),
	})
}

// event sends one to its session or to every subscriber of the package.
func (n *notifier) event(e *control.Event) {
	body := e.JSON()
	if e.To != "" {
		n.direct(e.To, e.Name, body)
		return
	}
	for _, s := range n.inOrder() {
		if n.hears(s, e) {
			n.notify(s, s.key.pkg, e.Name, body)
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

func (n *notifier) needed(to ids.Session, m api.MediaNeeded) {
	b, _ := json.Marshal(m) // strings and numbers
	n.direct(to, "media.needed", b)
}

func (n *notifier) speakers(body api.SpeakerActive) {
	b, _ := json.Marshal(body) // strings and numbers
	told := map[ids.Session]bool{}
	for _, s := range n.inOrder() {
		if !told[s.key.session] {
			told[s.key.session] = true
			n.notify(s, pkgSpeakers, "speaker.active", b)
		}
	}
}

// finish ends every subscription with one document of state deleted.
func (n *notifier) finish() {
	gone := encode(&info.Document{Entity: n.r.uri, State: info.Deleted})
	for _, s := range n.inOrder() {
		if s.key.pkg == pkgConference {
			s.version++
			n.send(s, gone, info.Deleted)
		}
	}
	n.subs = map[subKey]*subscription{}
}

// encoded is a document's JSON, cut where the version goes.
type encoded struct {
	state        info.State // empty: nothing to send
	before, tail []byte
}

var versionMark = []byte(`"version":4294967295`)

func encode(d *info.Document) *encoded {
	c := *d
	c.Version = math.MaxUint32
	b, err := json.Marshal(&c)
	if err != nil { // our own types: strings, numbers, booleans
		panic("focus: document does not marshal: " + err.Error())
	}
	// The first occurrence is the root's own: only entity and state come before
	// it, and inside a JSON string the quotes would be escaped.
	before, tail, _ := bytes.Cut(b, versionMark)
	return &encoded{state: d.State, before: before, tail: tail}
}

// encodeDiff encodes the change between two documents; in full when a partial
// would be hardly smaller.
func encodeDiff(old, new *info.Document) *encoded {
	d := info.Diff(old, new)
	if d == nil {
		return &encoded{}
	}
	e := encode(d)
	if d.State == info.Partial {
		if f := encode(new); 10*len(e.tail) >= 7*len(f.tail) {
			return f
		}
	}
	return e
}

func (e *encoded) with(version uint32) json.RawMessage {
	out := make([]byte, 0, len(e.before)+len(e.tail)+22)
	out = append(out, e.before...)
	out = append(out, `"version":`...)
	out = strconv.AppendUint(out, uint64(version), 10)
	return append(out, e.tail...)
}
