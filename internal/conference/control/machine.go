package control

import (
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// IDs makes fresh names; random in production, counted in tests, so that a
// dialogue reads the same each time.
type IDs struct {
	Participant  func() ids.Participant
	Connection   func() ids.Connection
	MediaSession func() ids.MediaSession
	Stream       func() ids.Stream
	Track        func() ids.Track
	Subscription func() ids.Subscription
	Source       func() uint32
	Conference   func() ids.Conference // of sidebars
	Token        func() string         // of those who are moved
}

// RandomIDs returns the generators of package ids.
func RandomIDs() IDs {
	return IDs{
		Participant: ids.NewParticipant, Connection: ids.NewConnection,
		MediaSession: ids.NewMediaSession, Stream: ids.NewStream, Track: ids.NewTrack,
		Subscription: ids.NewSubscription, Source: ids.Random32,
		Conference: ids.NewConference, Token: func() string { return ids.NewSecret().Reveal() },
	}
}

// Config is what a machine is made of.
type Config struct {
	ID     ids.Conference
	URI    string
	Anchor clock.Anchor // for the times in events and documents
	IDs    IDs
	Policy policy.Policy
	// Definition is what was kept of the conference; zero: nothing. Its Policy
	// goes over Policy, its Title and Banned hold from the start.
	Definition api.Definition
	Main       *model.Place // whose sidebar it is; nil: of none
	Inviter    Inviter      // nil: nobody can be asked in
	Recorder   bool         // something is there that records
	// CanMix tells whether "audio" or "video" can be mixed here; errors are for
	// people (503 codec-missing). Nil: there is no mixer.
	CanMix func(kind string) error
	// Epoch of the lease under which this node owns the conference; commits carry
	// it. Zero: a node by itself, which needs none.
	Epoch uint64
}

// Command is one thing to do: a client's request with decoded parameters (see
// [Decode]) or an internal fact.
type Command struct {
	Method string
	Caller Caller
	Params any
	IfRev  *uint64
	Dest   *Destination // of participant.transfer, as far as the machine cannot know it
}

// Output collects what a step produced. The caller owns and empties it.
type Output struct {
	Events  []Event
	Effects []Effect
}

// Machine is one conference. See the package comment for who may call it.
type Machine struct {
	cfg        Config
	house      policy.Policy // the server's rules; cfg.Policy has the conference's own over them
	conf       *model.Conference
	bySession  map[ids.Session]*model.Device
	timers     timers
	order      uint64     // last number given to a participant, track or subscription
	users      int        // participants with a live device
	endAt      clock.Time // of an announced end
	finishing  bool       // everybody is being put out
	superseded bool       // another node owns the conference under a newer epoch

	// The themes, each a small type of its own that knows the machine.
	joins   joins
	devices devices
	media   mediaSessions
	tracks  tracks
	subs    subscriptions
	lobby   lobby
	bans    bans
	hands   hands
	floors  floors
	moods   moods
	chat    chat

	invitations invitations
	recordings  recordings

	branches branches
	peers    peers
	topo     topology
	seals    seals
}

// NewMachine returns a scheduled conference.
func NewMachine(c Config) *Machine {
	m := &Machine{
		cfg:       c,
		conf:      model.NewConference(c.ID, c.URI),
		bySession: map[ids.Session]*model.Device{},
	}
	m.conf.Title = c.Definition.Title
	m.devices, m.media, m.tracks, m.subs = devices{m}, mediaSessions{m}, tracks{m: m}, subscriptions{m: m}
	m.joins, m.invitations, m.recordings = joins{m}, invitations{m}, recordings{m}
	m.lobby, m.hands, m.floors, m.moods, m.chat = lobby{m: m}, hands{m: m}, floors{m: m}, moods{m: m}, chat{m: m}
	m.bans.load(c.Definition.Banned)
	m.house = c.Policy
	m.cfg.Policy = c.Policy.Under(c.Definition.Policy)
	m.conf.Conditions = m.cfg.Policy.API()
	m.floors.settle()
	m.branches, m.peers = branches{m: m}, peers{m}
	m.topo = topology{m: m, arrived: map[*model.Device]uint64{}}
	m.seals = seals{m: m}
	m.conf.Main = c.Main
	return m
}

// Conference returns the state for reading between steps.
func (m *Machine) Conference() *model.Conference { return m.conf }

// Users returns how many participants have a live device.
func (m *Machine) Users() int { return m.users }

// Device returns the live device that a session drives, or nil.
func (m *Machine) Device(s ids.Session) *model.Device { return m.bySession[s] }

// Subscriptions lists a media session's, oldest first.
func (m *Machine) Subscriptions(s ids.MediaSession) []*model.Subscription { return m.subs.of(s) }

// Subscribers lists the subscriptions to a track, oldest first.
func (m *Machine) Subscribers(k *model.Track) []*model.Subscription { return m.subs.to(k) }

// TracksOf lists what a media session publishes, in order.
func (m *Machine) TracksOf(s ids.MediaSession) []*model.Track { return m.tracks.of(s) }

// Step runs one command and appends what follows from it to out. A refusal is
// a *fault.Error and leaves the state as it was. The result is a type of
// package api, to be put into the response.
func (m *Machine) Step(now clock.Time, c Command, out *Output) (any, error) {
	h, ok := table[c.Method]
	if !ok {
		return nil, errUnknownMethod()
	}
	t := &turn{m: m, now: now, caller: c.Caller, ifRev: c.IfRev, dest: c.Dest, out: out, firstEvent: len(out.Events), firstEffect: len(out.Effects)}
	if err := h.admit(m, t); err != nil {
		return nil, err
	}
	res, err := h.run(m, t, c.Params)
	if err != nil {
		return nil, err
	}
	m.topo.settle(t)
	t.commit()
	if j, ok := res.(api.JoinResult); ok { // tells the revision that it made
		j.Rev, j.Leg = m.conf.Rev, m.LegState(c.Caller.Session)
		res = j
	}
	return res, nil
}

// Tick does everything that is due.
func (m *Machine) Tick(now clock.Time, out *Output) {
	for {
		fire, ok := m.timers.due(now)
		if !ok {
			return
		}
		t := &turn{m: m, now: now, out: out, firstEvent: len(out.Events), firstEffect: len(out.Effects)}
		fire(t)
		m.topo.settle(t)
		t.commit()
	}
}

// Deadline returns when Tick is wanted next; zero: nothing pending. It may be
// early: what a timer waited for may have been settled since.
func (m *Machine) Deadline() clock.Time { return m.timers.next() }

// turn is one commit in the making.
type turn struct {
	m                       *Machine
	now                     clock.Time
	caller                  Caller
	dev                     *model.Device // the caller's, when it has joined
	ifRev                   *uint64
	dest                    *Destination
	out                     *Output
	firstEvent, firstEffect int

	dirty   bool
	touched []*model.Participant
	tracks  []*model.Track
}

// touch marks the conference, and the rows under p (may be nil), as changed.
func (t *turn) touch(p *model.Participant) {
	t.dirty = true
	if p != nil {
		t.touched = append(t.touched, p)
	}
}

// hide makes somebody anonymous, in the rows that name them too.
func (t *turn) hide(p *model.Participant) {
	c := t.m.conf
	if c.Alias(p.User) == 0 {
		for _, other := range c.Participants {
			if other.Names(p.User) {
				t.touch(other)
			}
		}
	}
	c.Hide(p)
}

// touchTrack marks a track and its publisher's row as changed.
func (t *turn) touchTrack(k *model.Track) {
	t.touch(k.Device.Part)
	t.tracks = append(t.tracks, k)
}

// commit gives the turn its revision and stamps everything with it.
func (t *turn) commit() {
	c := t.m.conf
	if t.dirty {
		t.stampRows()
	}
	by := t.caller.By.Subject
	at := Wall(t.m.cfg.Anchor, t.now)
	for i := t.firstEvent; i < len(t.out.Events); i++ {
		e := &t.out.Events[i]
		e.Conf, e.Rev, e.At, e.Epoch = c.ID, c.Rev, at, t.m.cfg.Epoch
		if e.By == "" {
			e.By = by
		}
	}
	for i := t.firstEffect; i < len(t.out.Effects); i++ {
		if s, ok := t.out.Effects[i].(JoinSettled); ok && s.Err == nil {
			s.Result.Rev, s.Result.Leg = c.Rev, t.m.LegState(s.Session)
			t.out.Effects[i] = s
		}
	}
}

// stampRows makes a revision of what was touched.
func (t *turn) stampRows() {
	c := t.m.conf
	c.Rev++
	for _, p := range t.touched {
		p.Rev = c.Rev
		c.RowChanged(p.User)
	}
	for _, k := range t.tracks {
		k.Rev = c.Rev
	}
}

// event appends one for every subscriber of package conference.
func (t *turn) event(name string, fields map[string]any) {
	t.dirty = true
	t.out.Events = append(t.out.Events, Event{Name: name, Fields: fields})
}

// tell appends an event for one session only.
func (t *turn) tell(to ids.Session, name string, fields map[string]any) {
	t.dirty = true
	t.out.Events = append(t.out.Events, Event{Name: name, To: to, Fields: fields})
}

// tellModerators appends an event for those who are at least moderators.
func (t *turn) tellModerators(name string, fields map[string]any) {
	t.dirty = true
	t.out.Events = append(t.out.Events, Event{Name: name, Least: api.RoleModerator, Fields: fields})
}

// effect appends work for the owner of the machine.
func (t *turn) effect(e Effect) { t.out.Effects = append(t.out.Effects, e) }

// role returns the caller's role: its row's when joined, else its principal's
// if that is for this conference and its person was not banned from it.
func (t *turn) role() api.Role {
	if t.dev != nil {
		return t.dev.Part.Role
	}
	if t.forHere() && !t.m.Banned(t.now, t.caller.By.Subject) {
		return t.caller.By.Role
	}
	return ""
}

// power is what the caller may do to others: a service key that has not joined
// acts for the house.
func (t *turn) power() api.Role {
	if t.dev == nil && t.caller.By.Service {
		return api.RoleOwner
	}
	return t.role()
}

// moderates reports whether the caller is a moderator or more.
func (t *turn) moderates() bool { return policy.AtLeast(t.power(), api.RoleModerator) }

// forHere reports whether the caller's token is good for this conference.
func (t *turn) forHere() bool {
	r := t.caller.By.Room
	return r == "" || r == t.m.conf.URI
}

// fresh checks a request's ifRev against the revision of what it is about.
func (t *turn) fresh(rev uint64) error {
	if t.ifRev != nil && *t.ifRev < rev {
		e := fault.New(412, "stale", "the object has changed since")
		e.Data = map[string]any{"rev": rev}
		return e
	}
	return nil
}

func (m *Machine) nextOrder() uint64 {
	m.order++
	return m.order
}

// Wall formats an instant as the dateTime of events and documents, UTC with
// milliseconds.
func Wall(a clock.Anchor, t clock.Time) string {
	return time.Unix(0, a.Unix+int64(t-a.Mono)).UTC().Format("2006-01-02T15:04:05.000Z")
}
