package session

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
)

// Registry holds the sessions of this node.
type Registry struct {
	cfg    Config
	counts counts
	wake   chan struct{} // cap 1: somebody waits in retired

	mu       sync.Mutex // guards what follows; a leaf
	sessions map[ids.Session]*Session
	retired  []*Session // closed, the Port not yet told
	draining bool
	gate     admission
}

type counts struct{ opened, resumed, resynced, limited, expired atomic.Uint64 }

// Stats is a snapshot of counters since start, but for Sessions and Suspended.
type Stats struct {
	Sessions, Suspended                         int
	Opened, Resumed, Resynced, Limited, Expired uint64
}

// NewRegistry returns an empty registry. Port, Auth and Now are required.
func NewRegistry(cfg Config) *Registry {
	return &Registry{
		cfg:      cfg.withDefaults(),
		wake:     make(chan struct{}, 1),
		sessions: make(map[ids.Session]*Session),
	}
}

// Run drives all deadlines until ctx ends; it is the only goroutine of this
// package.
func (r *Registry) Run(ctx context.Context) error {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			r.flush()
			return nil
		case <-r.wake:
			r.flush()
		case <-t.C:
			r.Tick()
		}
	}
}

// Tick applies every deadline that has passed at Config.Now.
func (r *Registry) Tick() {
	for _, s := range r.all() {
		s.tick(r.cfg.Now())
	}
	r.flush()
}

func (r *Registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.sessions))
	for _, s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// flush tells the Port of sessions that ended. Done here and not where they
// end, because that may be inside a call of the Port.
func (r *Registry) flush() {
	r.mu.Lock()
	list := r.retired
	r.retired = nil
	r.mu.Unlock()
	for _, s := range list {
		s.port.Lock()
		s.mu.Lock()
		why := s.bye
		s.mu.Unlock()
		r.cfg.Port.Closed(s.caller.Session, why)
		s.port.Unlock()
		r.cfg.Log.Debug("session closed", "session", s.caller.Session, "reason", why)
	}
}

func (r *Registry) retire(s *Session) {
	r.mu.Lock()
	delete(r.sessions, s.caller.Session)
	r.retired = append(r.retired, s)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Open takes a client's hello: a new session, or an old one resumed. On
// success welcome, and what is to be replayed, are queued on ch. On refusal
// nothing is: the dialect says the error in its own way, see [CloseCode].
func (r *Registry) Open(h *api.Hello, dialect string, addr netip.Addr, ch Channel) (*Session, error) {
	if !slices.Contains(h.Versions, Version) {
		return nil, errVersion()
	}
	if h.Resume != nil {
		return r.resume(h.Resume, ch)
	}
	if err := r.room(); err != nil {
		return nil, err
	}
	auth := api.Auth{}
	if h.Auth != nil {
		auth = *h.Auth
	}
	by, err := r.cfg.Auth.Authenticate(auth.Token, auth.Name, addr)
	if err != nil {
		return nil, fault.From(err)
	}
	return r.start(by, dialect, addr, ch)
}

// room refuses newcomers while there is none, before they cost anything.
func (r *Registry) room() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining || len(r.sessions) >= r.cfg.MaxSessions {
		return errOverloaded()
	}
	if ok, wait := r.gate.admit(r.cfg.Now(), r.cfg.AdmitRate, r.cfg.AdmitBurst); !ok {
		return errLater(wait)
	}
	return nil
}

func (r *Registry) start(by control.Principal, dialect string, addr netip.Addr, ch Channel) (*Session, error) {
	now := r.cfg.Now()
	s := &Session{
		reg:      r,
		caller:   control.Caller{Session: ids.NewSession(), By: by, Dialect: dialect, Addr: addr},
		ch:       ch,
		heard:    now,
		nextPing: now.Add(r.cfg.Heartbeat),
	}
	r.mu.Lock()
	if r.draining || len(r.sessions) >= r.cfg.MaxSessions {
		r.mu.Unlock()
		return nil, errOverloaded()
	}
	r.sessions[s.caller.Session] = s
	r.mu.Unlock()
	r.counts.opened.Add(1)

	s.port.Lock()
	defer s.port.Unlock()
	s.mu.Lock()
	s.welcome(false, false) // first frame, before the focus can speak
	s.mu.Unlock()
	r.cfg.Port.Attach(s.caller, outlet{s})
	r.cfg.Log.Debug("session opened", "session", s.caller.Session, "dialect", dialect)
	return s, nil
}

// Shutdown says goodbye to every session and refuses new ones. It returns when
// all frames are queued and the Port knows; channels close on their own.
func (r *Registry) Shutdown(g api.Goodbye) {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	for _, s := range r.all() {
		outlet{s}.Goodbye(g)
	}
	r.flush()
}

// Stats returns the counters.
func (r *Registry) Stats() Stats {
	st := Stats{
		Opened: r.counts.opened.Load(), Resumed: r.counts.resumed.Load(), Resynced: r.counts.resynced.Load(),
		Limited: r.counts.limited.Load(), Expired: r.counts.expired.Load(),
	}
	for _, s := range r.all() {
		st.Sessions++
		if s.is(stateSuspended) {
			st.Suspended++
		}
	}
	return st
}
