package focus

import (
	"encoding/json"
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// Package stats: how media flow, told again and again. The media side is asked
// in rounds, one at a time in a room and outside of its loop; the answer of one
// round serves everybody whose time has come.

const (
	statsEvery = 2 * time.Second
	statsLeast = time.Second // nor may subscribing again bring more than that
	statsMost  = time.Minute
	// statsRound bounds the connections that one round asks about, statsBody what
	// one notification may be long and statsStreams what it says of a connection.
	// What does not fit is counted; in a large room all have their turn.
	statsRound   = 64
	statsBody    = 48 << 10
	statsStreams = 64
)

// statistics is a room's part of it. Belongs to the loop.
type statistics struct {
	asking bool
	turn   int
}

// measuring is what a subscription of package stats wants.
type measuring struct {
	every   time.Duration
	all     bool // as asked for; the role is looked at each time
	once    bool // a fetch: it ends with its first report
	due     clock.Time
	told    clock.Time
	version uint32
}

// statsAsked is a round: who is to be told, and about whom.
type statsAsked struct {
	to      []*subscription
	rows    []statsRow
	omitted int // connections of the conference that were not asked about
}

type statsRow struct {
	conn    ids.Connection
	session ids.Session
	report  api.ConnectionReport
	ok      bool
	plain   json.RawMessage // encoded once, for all but its own session
}

// readStatsFilter judges what a subscriber asks for. An outsider has no
// connection, so only all are of use.
func readStatsFilter(raw json.RawMessage, moderates, outsider bool) (m measuring, err error) {
	f := api.StatsFilter{}
	if len(raw) > 0 && json.Unmarshal(raw, &f) != nil {
		return m, fault.New(400, "bad-request", "the filter is not {intervalMs, scope}")
	}
	switch f.Scope {
	case "", "own":
		m.all = outsider
	case "all":
		if !moderates {
			return m, fault.New(403, "not-moderator", "only moderators see the statistics of others")
		}
		m.all = true
	default:
		return m, fault.New(400, "bad-request", "scope is own or all")
	}
	m.every = statsEvery
	if f.IntervalMs != 0 {
		ms := min(max(int64(f.IntervalMs), statsLeast.Milliseconds()), statsMost.Milliseconds())
		m.every = time.Duration(ms) * time.Millisecond
	}
	return m, nil
}

// moderates reports whether a session may see the statistics of others.
func (n *notifier) moderates(s *subscription) bool {
	if s.outsider {
		return true
	}
	d := n.r.m.Device(s.key.session)
	return d != nil && policy.AtLeast(d.Part.Role, "moderator")
}

// statsDue is when the next round has to begin; zero: not at all, or not yet
// because one is under way.
func (n *notifier) statsDue() (at clock.Time) {
	if n.stats.asking {
		return 0
	}
	for _, s := range n.list {
		if s.stats != nil {
			at = clock.Earliest(at, s.stats.due)
		}
	}
	return at
}

// askStats begins a round if somebody's time has come.
func (n *notifier) askStats(now clock.Time) {
	if at := n.statsDue(); at.IsZero() || at > now {
		return
	}
	a := &statsAsked{}
	all := false
	for _, s := range n.list {
		if m := s.stats; m != nil && m.due <= now {
			m.due = now.Add(m.every)
			if s.session.away.Load() { // it would only fill what is kept for a resume
				continue
			}
			a.to = append(a.to, s)
			all = all || m.all && n.moderates(s)
		}
	}
	if len(a.to) == 0 {
		return
	}
	n.gather(a, all)
	n.stats.asking = true
	r := n.r
	r.f.wg.Go(func() {
		for i := range a.rows {
			if l, ok := r.f.cfg.Plane.Stats(a.rows[i].conn); ok {
				a.rows[i].ok, a.rows[i].report.ConnectionStats = true, *linkStats(l)
			}
		}
		r.box.force(&item{stats: a})
	})
}

// gather lists the connections to ask about: first those of the sessions that
// are told, then others.
func (n *notifier) gather(a *statsAsked, all bool) {
	var others []statsRow
	own := map[ids.Session]bool{}
	for _, s := range a.to {
		own[s.key.session] = true
	}
	for _, l := range n.r.legsInOrder() {
		if !l.opened || l.failed {
			continue
		}
		d := l.dev
		row := statsRow{conn: l.conn, session: d.Session, report: api.ConnectionReport{
			Conn: string(l.conn), Part: string(d.Part.ID), User: d.Part.User, Device: string(d.ID),
		}}
		if own[d.Session] {
			a.rows = append(a.rows, row)
		} else {
			others = append(others, row)
		}
	}
	room := max(0, statsRound-len(a.rows))
	switch {
	case !all:
	case len(others) > room:
		from := n.stats.turn % len(others)
		n.stats.turn = (from + room) % len(others)
		a.rows = append(a.rows, slices.Concat(others[from:], others[:from])[:room]...)
		a.omitted = len(others) - room
	default:
		a.rows = append(a.rows, others...)
	}
}

// tellStats ends a round: whoever is still subscribed is told what it may know
// by now.
func (n *notifier) tellStats(now clock.Time, a *statsAsked) {
	n.stats.asking = false
	for i := range a.rows {
		if c := &a.rows[i].report.ConnectionStats; a.rows[i].ok {
			c.Remote = "" // addresses are the administration's
			trim(c)
		}
	}
	for _, s := range a.to {
		if n.subs[s.key] != s || s.stats == nil {
			continue
		}
		if d := n.r.m.Device(s.key.session); d != nil && d.Part.State == model.Lobby {
			continue
		}
		n.sendStats(now, s, a)
		if s.stats.once {
			n.remove(s)
		}
	}
}

// trim keeps what is said of a connection short: pictures first.
func trim(c *api.ConnectionStats) {
	if n := len(c.In) - statsStreams/2; n > 0 {
		c.In, c.Omitted = c.In[:len(c.In)-n], c.Omitted+n
	}
	if n := len(c.Out) - statsStreams; n > 0 {
		slices.SortStableFunc(c.Out, func(a, b api.StreamOut) int { return rankOf(&a) - rankOf(&b) })
		c.Out, c.Omitted = c.Out[:statsStreams], c.Omitted+n
	}
}

// rankOf orders subscriptions by what people look at.
func rankOf(s *api.StreamOut) int {
	switch {
	case s.State == "idle" || s.State == "paused":
		return 2
	case s.Kind == "video":
		return 0
	}
	return 1
}

func (n *notifier) sendStats(now clock.Time, s *subscription, a *statsAsked) {
	m := s.stats
	all := m.all && n.moderates(s)
	rep := struct {
		api.StatsReport
		Connections []json.RawMessage `json:"connections"` // instead of the report's
	}{StatsReport: api.StatsReport{At: n.r.at(now), IntervalMs: int(m.every.Milliseconds()), Scope: "own"}, Connections: []json.RawMessage{}}
	if all {
		rep.Scope, rep.Omitted = "all", a.omitted
	}
	size := 0
	for i := range a.rows {
		row := &a.rows[i]
		own := row.session == s.key.session
		if !row.ok || !own && !all {
			continue
		}
		b := row.encode(own)
		if size += len(b); size > statsBody {
			rep.Omitted++
			continue
		}
		rep.Connections = append(rep.Connections, b)
	}
	body, err := json.Marshal(rep)
	if err != nil { // our own types
		panic("focus: statistics do not marshal: " + err.Error())
	}
	m.version++
	m.told = now
	(*s.session.sink.Load()).Notify(&api.Notify{
		Kind: "notify", Sub: s.name, Conf: string(n.r.id), Package: pkgStats, State: "full", Version: m.version, Body: body,
	})
}

func (w *statsRow) encode(own bool) json.RawMessage {
	if !own && w.plain != nil {
		return w.plain
	}
	rep := w.report
	rep.Own = own
	b, err := json.Marshal(rep)
	if err != nil { // our own types
		panic("focus: statistics do not marshal: " + err.Error())
	}
	if !own {
		w.plain = b
	}
	return b
}

// wantStats notes what a subscriber wants; its first report comes at once,
// unless it has just had one.
func (n *notifier) wantStats(now clock.Time, s *subscription, wish measuring) {
	if old := s.stats; old != nil {
		wish.told, wish.version = old.told, old.version
	}
	wish.due = now
	if !wish.told.IsZero() {
		wish.due = max(now, wish.told.Add(statsLeast))
	}
	s.stats = &wish
}
