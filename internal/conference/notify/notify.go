package notify

import (
	"math"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// How often one subscriber is sent a document at most; changes in between go
// together.
const (
	FastThrottle = 100 * time.Millisecond // WebSocket
	SIPThrottle  = 5 * time.Second        // RFC 4575, section 3.9
)

// How long a subscription of limited life lasts.
const (
	MinExpiry     = 600 * time.Second
	DefaultExpiry = 3600 * time.Second // RFC 4575, section 3.4; also the longest
)

// lastVersion ends a subscription: versions never wrap (trap g).
const lastVersion = math.MaxUint32

// Expiry decides how long a subscription lasts: asked seconds, negative: not
// said. Zero is the end of it, or a single look. Too short is refused with 423
// and the data a Min-Expires header is made of.
func Expiry(asked int) (time.Duration, error) {
	d := time.Duration(min(asked, int(DefaultExpiry/time.Second))) * time.Second
	switch {
	case asked < 0:
		return DefaultExpiry, nil
	case asked > 0 && d < MinExpiry:
		e := fault.New(423, "interval-too-brief", "ask for at least %d seconds", int(MinExpiry/time.Second))
		e.Data = map[string]any{"minExpires": int(MinExpiry / time.Second)}
		return 0, e
	}
	return d, nil
}

// Reasons of the end of a subscription (RFC 6665, section 4.1.3).
const (
	Deactivated = "deactivated" // subscribe again, now
	Timeout     = "timeout"     // it was not refreshed, or ended by the subscriber
	NoResource  = "noresource"  // the conference is over
	Rejected    = "rejected"    // who was put out is not let in by asking again
)

// Life is a Subscription-State header: active with what is left, or terminated
// with a reason. Both empty: active without limit.
type Life struct {
	Expires time.Duration
	Reason  string
}

// Terminated reports whether the subscription ends with this.
func (l Life) Terminated() bool { return l.Reason != "" }

// Notice is one document to one subscriber.
type Notice struct {
	Sub     *Subscription
	State   info.State
	Version uint32
	Body    []byte
	Life    Life
}

// Options of a subscription.
type Options struct {
	User     string        // of the roster; empty: one from outside
	Group    info.Group    // of one from outside
	Format   info.Format   // of the bodies
	Throttle time.Duration // zero: FastThrottle
	Expires  time.Duration // zero: as long as it is not ended
	Version  uint32        // the first document's is one more
	Owner    any           // the caller's
}

// Subscription is one subscriber. Its fields belong to the notifier.
type Subscription struct {
	opt     Options
	class   *class
	at      uint64 // position in the class's journal; what it has
	version uint32
	next    clock.Time // not before
	expires clock.Time
	fresh   bool // has nothing of this class: a full document is due
	urgent  bool // its own coming or going does not wait
	presence
}

// Owner is what the subscriber gave.
func (s *Subscription) Owner() any { return s.opt.Owner }

// User is the subscriber's row in the roster, or empty.
func (s *Subscription) User() string { return s.opt.User }

// Group is the group that the subscriber belongs to now.
func (s *Subscription) Group() info.Group { return s.class.view.Group }

// Version is that of the last document.
func (s *Subscription) Version() uint32 { return s.version }

// presence is what makes a change of one's own row urgent.
type presence struct {
	state model.Presence
	live  bool
}

// Notifier is the notifier of one conference. See [New].
type Notifier struct {
	view    info.View
	conf    *model.Conference
	users   int
	rev     uint64
	subs    []*Subscription // in order of subscribing
	byUser  map[string][]*Subscription
	classes map[classKey]*class
	changed bool
	wait    clock.Time
	scratch []string
}

// New returns the notifier of a conference. The view gives everything but
// group and self.
func New(v info.View, c *model.Conference) *Notifier {
	return &Notifier{view: v, conf: c, byUser: map[string][]*Subscription{}, classes: map[classKey]*class{}}
}

// Len is how many subscriptions there are.
func (n *Notifier) Len() int { return len(n.subs) }

// All returns the subscriptions in the order they came; it must not be changed.
func (n *Notifier) All() []*Subscription { return n.subs }

// Deadline is when Flush is wanted next; zero: not before the next change.
func (n *Notifier) Deadline() clock.Time { return n.wait }

// Subscribe starts a subscription with a full document.
func (n *Notifier) Subscribe(now clock.Time, o Options, out []Notice) (*Subscription, []Notice) {
	if o.Throttle == 0 {
		o.Throttle = FastThrottle
	}
	s := &Subscription{opt: o, version: o.Version}
	n.place(s, o.Group)
	if o.Expires > 0 {
		s.expires = now.Add(o.Expires)
	}
	n.subs = append(n.subs, s)
	if o.User != "" {
		n.byUser[o.User] = append(n.byUser[o.User], s)
	}
	out = n.full(now, s, "", out)
	return s, out
}

// Refresh prolongs a subscription and answers with a full document (RFC 6665,
// section 4.2.1.2). Zero ends it.
func (n *Notifier) Refresh(now clock.Time, s *Subscription, expires time.Duration, out []Notice) []Notice {
	if expires == 0 {
		return n.End(now, s, Timeout, out)
	}
	if !s.expires.IsZero() {
		s.expires = now.Add(expires)
	}
	return n.full(now, s, "", out)
}

// Fetch answers somebody who wants to look once.
func (n *Notifier) Fetch(now clock.Time, o Options, out []Notice) []Notice {
	s, out := n.Subscribe(now, o, out)
	out[len(out)-1].Life = Life{Reason: Timeout}
	n.Drop(s)
	return out
}

// Again sends a full document, as the answer to a refresh of unlimited life.
func (n *Notifier) Again(now clock.Time, s *Subscription, out []Notice) []Notice {
	return n.full(now, s, "", out)
}

// End ends a subscription with a last full document.
func (n *Notifier) End(now clock.Time, s *Subscription, reason string, out []Notice) []Notice {
	out = n.full(now, s, reason, out)
	n.Drop(s)
	return out
}

// Drop forgets a subscription: nothing more is sent. That is all there is to
// do when a notification was answered 481 or not at all.
func (n *Notifier) Drop(s *Subscription) {
	i := slices.Index(n.subs, s)
	if i < 0 {
		return
	}
	n.subs = slices.Delete(n.subs, i, i+1)
	if u := s.opt.User; u != "" {
		n.byUser[u] = slices.DeleteFunc(n.byUser[u], func(o *Subscription) bool { return o == s })
		if len(n.byUser[u]) == 0 {
			delete(n.byUser, u)
		}
	}
	n.leave(s)
}

// Finish ends every subscription: the conference is over.
func (n *Notifier) Finish(out []Notice) []Notice {
	gone := &info.Document{Entity: n.conf.URI, State: info.Deleted}
	var made [info.Formats]*info.Encoded
	for _, s := range n.subs {
		f := s.opt.Format
		if made[f] == nil {
			made[f] = info.Encode(gone, f)
		}
		s.version++
		out = append(out, Notice{s, info.Deleted, s.version, made[f].With(s.version, nil), Life{Reason: NoResource}})
	}
	n.subs = nil
	clear(n.byUser)
	clear(n.classes)
	return out
}

// place puts a subscription into the class it belongs to.
func (n *Notifier) place(s *Subscription, g info.Group) {
	key := classKey{group: g}
	if p := n.conf.Participants[s.opt.User]; p != nil && s.opt.User != "" {
		if p.State == model.Left && s.class != nil {
			return // going shows nobody more than before
		}
		key.group = info.GroupOf(p)
		s.presence = presence{p.State, p.Live()}
	} else if s.class != nil {
		return
	}
	if key.group == info.Waiting {
		key.self = s.opt.User
	}
	k := n.classes[key]
	if k == nil {
		v := n.view
		v.Group, v.Self = key.group, key.self
		k = newClass(v)
		n.classes[key] = k
	}
	if k == s.class {
		return
	}
	k.need++
	n.leave(s)
	s.class, s.fresh, s.urgent = k, true, s.class != nil
}

// leave takes a subscription out of its class. The class of one who waited goes
// with it; the others may be wanted again.
func (n *Notifier) leave(s *Subscription) {
	k := s.class
	if k == nil {
		return
	}
	if k.need--; k.need == 0 {
		delete(n.classes, classKey{k.view.Group, k.view.Self})
	}
}

// Update notes that the conference has changed. It costs what the changed rows
// cost that have subscriptions.
func (n *Notifier) Update(users int) {
	if n.conf.Rev == n.rev && users == n.users && n.rev != 0 {
		return
	}
	changed, known := n.conf.ChangedSince(n.rev, n.scratch[:0])
	n.scratch = changed[:0]
	n.rev, n.users, n.changed = n.conf.Rev, users, true
	if !known {
		for _, s := range n.subs {
			n.moved(s)
		}
		return
	}
	for _, u := range changed {
		for _, s := range n.byUser[u] {
			n.moved(s)
		}
	}
}

// moved looks again at a subscriber whose own row has changed.
func (n *Notifier) moved(s *Subscription) {
	before := s.presence
	n.place(s, s.opt.Group)
	if p := n.conf.Participants[s.opt.User]; p != nil {
		s.presence = presence{p.State, p.Live()}
	}
	s.urgent = s.urgent || s.presence != before
}

// Flush sends whoever may what they lack.
func (n *Notifier) Flush(now clock.Time, out []Notice) []Notice {
	if !n.changed && (n.wait.IsZero() || now < n.wait) {
		return out
	}
	n.changed, n.wait = false, 0
	least := map[*class]uint64{}
	var over []*Subscription
	for _, s := range n.subs {
		s.class.update(n.conf, n.users)
		var ended bool
		if out, ended = n.serve(now, s, out); ended {
			over = append(over, s)
		}
		if at, ok := least[s.class]; !ok || s.at < at {
			least[s.class] = s.at
		}
	}
	for k, at := range least {
		k.forget(at)
	}
	for _, s := range over {
		n.Drop(s)
	}
	return out
}

// serve sends one subscriber what is due.
func (n *Notifier) serve(now clock.Time, s *Subscription, out []Notice) (_ []Notice, ended bool) {
	if !s.expires.IsZero() {
		if now >= s.expires {
			return n.full(now, s, Timeout, out), true
		}
		n.wait = clock.Earliest(n.wait, s.expires)
	}
	switch {
	case !s.fresh && s.at == s.class.position():
		s.urgent = false
	case now < s.next && !s.urgent:
		n.wait = clock.Earliest(n.wait, s.next)
	case s.version >= lastVersion-1:
		return n.full(now, s, Deactivated, out), true
	case s.fresh:
		out = n.full(now, s, "", out)
	default:
		e := s.class.since(s.at, s.opt.Format)
		s.at, s.urgent = s.class.position(), false
		if e != nil {
			out = append(out, n.notice(now, s, e, ""))
		}
	}
	return out, false
}

// full sends the whole document.
func (n *Notifier) full(now clock.Time, s *Subscription, reason string, out []Notice) []Notice {
	s.class.update(n.conf, n.users)
	s.at, s.fresh, s.urgent = s.class.position(), false, false
	if s.version >= lastVersion-1 && reason == "" {
		reason = Deactivated
	}
	out = append(out, n.notice(now, s, s.class.full(s.opt.Format), reason))
	if !s.expires.IsZero() {
		n.wait = clock.Earliest(n.wait, s.expires)
	}
	return out
}

func (n *Notifier) notice(now clock.Time, s *Subscription, e *info.Encoded, reason string) Notice {
	if s.version < lastVersion {
		s.version++
	}
	s.next = now.Add(s.opt.Throttle)
	life := Life{Reason: reason}
	if reason == "" && !s.expires.IsZero() {
		life.Expires = s.expires.Sub(now)
	}
	return Notice{s, e.State, s.version, e.With(s.version, n.self(s)), life}
}

// self is what a subscriber is told about itself: which row is its own, when
// that goes by an alias.
func (n *Notifier) self(s *Subscription) *info.Self {
	if u := s.opt.User; u != "" && n.conf.Participants[u] != nil && s.class.view.Hides(n.conf, u) {
		return &info.Self{User: s.class.view.Name(n.conf, s.opt.User)}
	}
	return nil
}
