// Package focus runs the conferences of a node (the focus of RFC 4353): where
// control and media meet.
//
// One goroutine per conference, fed by a bounded mailbox, drives the pure
// control.Machine, carries its effects out on the media plane, answers the
// caller, and only then notifies every subscriber. The registry finds a
// conference by URI or id. Focus holds no conference rule of its own; what is
// decided about sections of a description is in pure types beside the loop
// (leg.go, slots.go).
//
// Threading: Focus is safe for concurrent use. A room's fields belong to its
// loop. Shutdown joins every loop.
package focus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
	"parley/internal/media/plane"
)

// Clock tells the time; [clock.System] is one.
type Clock interface {
	Now() clock.Time
	Anchor() clock.Anchor
}

// Config is what a focus needs. Plane may be given later by [Focus.SetPlane],
// since the media side wants the focus as its sink first.
type Config struct {
	Plane           plane.Plane
	Clock           Clock
	Log             *slog.Logger
	Policy          policy.Policy   // zero: policy.Default
	MaxConferences  int             // running at a time on this node; 0: 1000
	MaxParticipants int             // live participants on this node; 0: 5000
	Inbox           int             // requests waiting per conference; 0: 1024
	IDs             *control.IDs    // nil: random
	Definitions     Definitions     // nil: nothing outlives a restart
	Inviter         control.Inviter // nil: nobody can be asked in
	Recorder        bool            // something is there that records
	// Mixer mixes and composes; nil: nothing does. It may be given later by
	// [Focus.SetMixer].
	Mixer plane.Mixer
	// ICEServers are for sessions between devices, with credentials for a user;
	// nil: none are needed.
	ICEServers func(user string) []api.ICEServer
	// Observe is told every event of every conference that is for more than one
	// session; nil: nobody. Called from the conferences' loops: it must return at once.
	Observe func(uri string, e control.Event)
}

// Status is what may be told before joining.
type Status struct {
	Active    bool
	Locked    bool
	Title     string
	UserCount int
	E2EE      bool
}

var (
	_ plane.Sink   = (*Focus)(nil)
	_ control.Port = (*Focus)(nil)
)

// Focus is the set of running conferences. See [New].
type Focus struct {
	cfg     Config
	wg      sync.WaitGroup
	users   atomic.Int64 // live participants of all rooms
	loops   atomic.Uint64
	stopped atomic.Bool
	keep    keeper
	phones  phones

	mu       sync.RWMutex // guards what follows
	byURI    map[string]*room
	byID     map[ids.Conference]*room
	sessions map[ids.Session]*session
	ended    tombstones
}

// session is a signalling session as the focus knows it. The sink is swapped
// when the session is resumed; rooms is guarded by Focus.mu.
type session struct {
	caller control.Caller
	sink   atomic.Pointer[control.Sink]
	rooms  map[*room]struct{}
	away   atomic.Bool // suspended: its socket is gone
}

// New returns a focus with no conference running.
func New(cfg Config) *Focus {
	if cfg.Policy == (policy.Policy{}) {
		cfg.Policy = policy.Default()
	}
	if cfg.IDs == nil {
		g := control.RandomIDs()
		cfg.IDs = &g
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.MaxConferences = orDefault(cfg.MaxConferences, 1000)
	cfg.MaxParticipants = orDefault(cfg.MaxParticipants, 5000)
	cfg.Inbox = orDefault(cfg.Inbox, 1024)
	return &Focus{
		cfg: cfg, byURI: map[string]*room{}, byID: map[ids.Conference]*room{},
		sessions: map[ids.Session]*session{},
	}
}

func orDefault(v, d int) int {
	if v <= 0 {
		return d
	}
	return v
}

// SetPlane gives the media side; call it once, before the first request.
func (f *Focus) SetPlane(p plane.Plane) { f.cfg.Plane = p }

// SetMixer gives the mixer; call it once, before the first request.
func (f *Focus) SetMixer(m plane.Mixer) { f.cfg.Mixer = m }

// Attach implements [control.Port].
func (f *Focus) Attach(c control.Caller, s control.Sink) {
	e := &session{caller: c, rooms: map[*room]struct{}{}}
	e.sink.Store(&s)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[c.Session] = e
}

// Do implements [control.Port].
func (f *Focus) Do(c control.Caller, req *api.Request, reply func(*api.Response)) {
	it := f.newItem(c, req)
	it.reply = func(r *api.Response) {
		r.Kind, r.ID = "response", req.ID
		reply(r)
	}
	if it.uri == "" {
		it.refuse(fault.New(400, "bad-request", "conf is missing"))
		return
	}
	f.route(it)
}

// Subscribe implements [control.Port].
func (f *Focus) Subscribe(c control.Caller, s *api.Subscribe, reply func(*api.Response)) {
	f.route(&item{
		caller: c, uri: s.Conf, sub: s, at: f.cfg.Clock.Now(),
		reply: func(r *api.Response) {
			r.Kind, r.ID = "response", s.ID
			reply(r)
		},
	})
}

// Suspended implements [control.Port].
func (f *Focus) Suspended(s ids.Session) { f.tell(s, control.SessionSuspended, control.Fact{}, nil) }

// Resumed implements [control.Port].
func (f *Focus) Resumed(s ids.Session, sink control.Sink) {
	f.tell(s, control.SessionResumed, control.Fact{}, sink)
}

// Closed implements [control.Port].
func (f *Focus) Closed(s ids.Session, reason string) {
	f.tell(s, control.SessionClosed, control.Closed{Reason: reason}, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, s)
}

// tell posts a fact about a session to every conference it is in.
func (f *Focus) tell(s ids.Session, method string, params any, sink control.Sink) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e := f.sessions[s]
	if e == nil {
		return
	}
	if sink != nil {
		e.sink.Store(&sink)
	}
	e.away.Store(method == control.SessionSuspended)
	for r := range e.rooms {
		r.box.force(&item{caller: e.caller, fact: method, params: params, session: e})
	}
}

// HandleMedia implements [plane.Sink]: it posts to the conference's loop.
func (f *Focus) HandleMedia(e plane.Event) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if r := f.byID[e.Conf]; r != nil {
		r.box.media(e)
	}
}

// Status answers the probe of a conference URI; false if none runs there.
func (f *Focus) Status(uri string) (Status, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r := f.byURI[uri]
	if r == nil {
		return Status{}, false
	}
	st := r.status.Load()
	if st == nil {
		return Status{}, false
	}
	return *st, true
}

// Shutdown says goodbye {reconnect, reason} to every session, ends every loop
// and waits for them or for ctx. New requests are refused with 503 from now on.
func (f *Focus) Shutdown(ctx context.Context, reason string) error {
	f.stopped.Store(true)
	f.mu.Lock()
	for _, r := range f.byID {
		r.box.force(&item{fact: control.NodeStopping, params: control.Stopping{Reason: reason}})
	}
	var idle []*session
	for _, s := range f.sessions {
		if len(s.rooms) == 0 {
			idle = append(idle, s)
		}
	}
	f.mu.Unlock()
	for _, s := range idle {
		(*s.sink.Load()).Goodbye(api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: reason})
	}
	done := make(chan struct{})
	go func() {
		f.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// overloaded is the refusal of a node at one of its limits.
func overloaded(what string) *fault.Error {
	e := fault.New(503, "overloaded", "%s", what)
	e.RetryAfter = 2 * time.Second
	return e
}
