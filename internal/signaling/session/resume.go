package session

import (
	"crypto/subtle"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
)

// resume gives an old session a new channel. An unknown session and a wrong
// token are the same refusal.
func (r *Registry) resume(h *api.Resume, ch Channel) (*Session, error) {
	r.mu.Lock()
	s := r.sessions[ids.Session(h.Session)]
	r.mu.Unlock()
	if s == nil || !s.takeOver(h, ch) {
		return nil, errNoSession()
	}
	return s, nil
}

func (s *Session) takeOver(h *api.Resume, ch Channel) bool {
	s.port.Lock() // waits for what the old channel was about to start
	defer s.port.Unlock()
	s.mu.Lock()
	if s.state == stateClosed || subtle.ConstantTimeCompare([]byte(s.token.Reveal()), []byte(h.Token)) != 1 {
		s.mu.Unlock()
		return false
	}
	now := s.reg.cfg.Now()
	old, was := s.ch, s.state
	s.state, s.ch, s.graceEnd = stateOpen, ch, 0
	s.heard, s.nextPing = now, now.Add(s.reg.cfg.Heartbeat)
	again, whole := s.out.since(h.LastSeq, s.seq)
	if !whole {
		s.out.reset(s.seq)
	}
	s.welcome(true, !whole)
	for _, f := range again {
		ch.Send(f.frame)
	}
	subs := s.toRefresh(!whole)
	s.mu.Unlock()

	if old != nil {
		old.Close(CloseReplaced, "replaced")
	}
	s.reg.counts.resumed.Add(1)
	if was == stateSuspended {
		s.reg.cfg.Port.Resumed(s.caller.Session, outlet{s})
	}
	for _, sub := range subs { // a refresh is answered with a full document
		s.reg.cfg.Port.Subscribe(s.caller, sub, func(*api.Response) {})
	}
	return true
}

func (s *Session) toRefresh(resync bool) []*api.Subscribe {
	if !resync {
		return nil
	}
	s.reg.counts.resynced.Add(1)
	list := make([]*api.Subscribe, 0, len(s.subs))
	for _, sub := range s.subs {
		list = append(list, sub)
	}
	return list
}

// welcome queues the first frame of a channel and rotates the token, so that a
// stolen one is good for one use at most and its use is noticed. Needs mu.
func (s *Session) welcome(resumed, resync bool) {
	cfg := &s.reg.cfg
	s.token = ids.NewSecret()
	servers := cfg.ICEServers
	if servers == nil {
		servers = []api.ICEServer{}
	}
	s.passing(&api.Welcome{
		Kind: "welcome", Version: Version, Session: string(s.caller.Session), ResumeToken: s.token.Reveal(),
		Resumed: resumed, Resync: resync, Seq: s.seq,
		HeartbeatMs: int(cfg.Heartbeat.Milliseconds()), GraceMs: int(cfg.Grace.Milliseconds()),
		Limits: cfg.Limits, ICEServers: servers, User: s.caller.By.Subject, Features: cfg.Features,
	})
}

// Lost tells that a channel broke. The session waits for its client.
func (s *Session) Lost(ch Channel) {
	s.port.Lock()
	defer s.port.Unlock()
	now := s.reg.cfg.Now()
	s.mu.Lock()
	if s.state != stateOpen || s.ch != ch {
		s.mu.Unlock()
		return
	}
	s.state, s.ch, s.graceEnd = stateSuspended, nil, now.Add(s.reg.cfg.Grace)
	s.mu.Unlock()
	s.reg.cfg.Port.Suspended(s.caller.Session)
}

// tick applies the session's deadlines: heartbeat, time-outs of requests, grace.
func (s *Session) tick(now clock.Time) {
	s.mu.Lock()
	lost, over := s.ch, false
	switch s.state {
	case stateOpen:
		if now.Sub(s.heard) < missed*s.reg.cfg.Heartbeat+slack {
			lost = nil
			s.beat(now)
		}
	case stateSuspended:
		over = !now.Before(s.graceEnd)
	case stateClosed:
		s.mu.Unlock()
		return
	}
	s.expire(now)
	s.mu.Unlock()
	if lost != nil {
		lost.Close(ClosePolicy, "heartbeat")
		s.Lost(lost)
	}
	if over && s.endIf(api.Goodbye{Action: "disconnect", Reason: "grace"}, CloseNormal, func() bool {
		return s.state == stateSuspended && !now.Before(s.graceEnd) // a resume that was first wins
	}) {
		s.reg.counts.expired.Add(1)
	}
}

// beat sends our heartbeat when due. Needs mu.
func (s *Session) beat(now clock.Time) {
	if now.Before(s.nextPing) {
		return
	}
	s.nextPing = now.Add(s.reg.cfg.Heartbeat)
	s.passing(&api.Ping{Kind: "ping", T: millis(now)})
}

// expire answers open requests whose time is up and forgets old answers. Needs mu.
func (s *Session) expire(now clock.Time) {
	for id, p := range s.open {
		if p.deadline.IsZero() || now.Before(p.deadline) {
			continue
		}
		delete(s.open, id)
		r := refusal(errTimeout())
		r.Kind, r.ID = "response", id
		stored := *r
		s.asked.finish(p.asked, &stored)
		s.emit(r)
	}
	if len(s.asked.order) > 0 && now.Sub(s.asked.order[0].at) > s.reg.cfg.Remember {
		s.asked.trim(now, s.reg.cfg.Remember, s.reg.cfg.RememberIDs)
	}
}
