package session

import (
	"encoding/json"
	"sync"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
)

type state uint8

const (
	stateOpen state = iota
	stateSuspended
	stateClosed
)

// Session is one signalling relation. Methods that take a Channel do nothing
// when the session has moved on to another one.
type Session struct {
	reg    *Registry
	caller control.Caller

	port sync.Mutex // held while the Port is called; before mu

	mu       sync.Mutex // guards what follows
	state    state
	ch       Channel // nil unless open
	token    ids.Secret
	seq      uint64
	out      replay
	open     map[string]*pending
	asked    memory
	subs     map[subKey]*api.Subscribe
	rate     bucket
	heard    clock.Time // last frame of the client
	nextPing clock.Time
	graceEnd clock.Time
	rtt      int64 // milliseconds, by the latest pong
	bye      string
}

type subKey struct{ conf, pkg string }

// ID returns the session's name.
func (s *Session) ID() ids.Session { return s.caller.Session }

// Caller returns who the session is toward the Port.
func (s *Session) Caller() control.Caller { return s.caller }

// enter opens the handling of one client frame: it notes the sign of life and
// the confirmation and applies the rate. False: do not handle the frame.
func (s *Session) enter(ch Channel, id string, ack uint64) bool {
	now := s.reg.cfg.Now()
	s.mu.Lock()
	if s.state != stateOpen || s.ch != ch {
		s.mu.Unlock()
		return false
	}
	s.heard = now
	if ack > 0 && ack <= s.seq {
		s.out.ack(ack)
	}
	l := &s.reg.cfg.Limits
	ok, over := s.rate.take(now, l.Rate, l.Burst)
	if ok {
		s.mu.Unlock()
		return true
	}
	s.reg.counts.limited.Add(1)
	s.passing(&api.Response{Kind: "response", ID: id, Code: 429, Final: true, Error: Wire(errRate())})
	s.mu.Unlock()
	if over >= overFor {
		s.end(api.Goodbye{Action: "disconnect", Reason: "rate"}, ClosePolicy)
	}
	return false
}

// Refuse answers a frame the dialect could not read.
func (s *Session) Refuse(ch Channel, id string, e *fault.Error) {
	if !s.enter(ch, id, 0) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(&api.Response{Kind: "response", ID: id, Code: e.Code, Final: true, Error: Wire(e)})
}

// Ack takes a bare confirmation.
func (s *Session) Ack(ch Channel, a *api.Ack) { s.enter(ch, "", a.Ack) }

// Ping answers the client's heartbeat.
func (s *Session) Ping(ch Channel, p *api.Ping) {
	if !s.enter(ch, "", p.Ack) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passing(&api.Ping{Kind: "pong", T: p.T, RTT: s.rtt})
}

// Pong takes the answer to ours.
func (s *Session) Pong(ch Channel, p *api.Ping) {
	if !s.enter(ch, "", p.Ack) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rtt := millis(s.reg.cfg.Now()) - p.T; rtt >= 0 && rtt < 60_000 {
		s.rtt = rtt
	}
}

func millis(t clock.Time) int64 { return int64(t) / 1e6 }

// Goodbye ends the session at the client's wish.
func (s *Session) Goodbye(ch Channel) {
	if s.enter(ch, "", 0) {
		s.end(api.Goodbye{Action: "disconnect", Reason: "goodbye"}, CloseNormal)
	}
}

// Message passes a one-way message on.
func (s *Session) Message(ch Channel, m *api.Message) {
	if !s.enter(ch, m.ID, m.Ack) {
		return
	}
	if len(m.Params) > s.reg.messageCap(m.Method) {
		if m.ID != "" {
			s.mu.Lock()
			e := tooLarge("The message is too large")
			s.emit(&api.Response{Kind: "response", ID: m.ID, Code: e.Code, Final: true, Error: Wire(e)})
			s.mu.Unlock()
		}
		return
	}
	own := *m
	own.From, own.Seq = "", 0 // identity only from the session (class A17)
	s.port.Lock()
	defer s.port.Unlock()
	if s.is(stateOpen) {
		s.reg.cfg.Port.Message(s.caller, &own)
	}
}

func (s *Session) is(st state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == st
}

// emit numbers a frame, keeps it for resume and sends it. Needs mu.
func (s *Session) emit(f any) {
	if s.state == stateClosed {
		return
	}
	s.seq++
	switch f := f.(type) {
	case *api.Response:
		f.Seq = s.seq
	case *api.Notify:
		f.Seq = s.seq
	case *api.Message:
		f.Seq = s.seq
	}
	b, err := encode(f)
	if err != nil { // a result that is not JSON: ours to fix, not the client's to suffer
		s.seq--
		s.reg.cfg.Log.Error("frame dropped", "session", s.caller.Session, "err", err.Error())
		return
	}
	s.out.push(s.seq, b)
	if s.ch != nil {
		s.ch.Send(b)
	}
}

func encode(f any) ([]byte, error) {
	if n, ok := f.(*api.Notify); ok {
		return n.Frame(), nil
	}
	return json.Marshal(f)
}

// passing sends a frame that has no number and is not kept. Needs mu.
func (s *Session) passing(f any) {
	if s.ch == nil {
		return
	}
	if b, err := json.Marshal(f); err == nil {
		s.ch.Send(b)
	}
}

// end closes the session from any state: the client is told, the registry
// forgets it, and the driver tells the Port. Safe from inside a Port callback.
func (s *Session) end(g api.Goodbye, code int) {
	s.endIf(g, code, func() bool { return true })
}

// endIf is end on a condition that is judged under mu, in one step with it.
func (s *Session) endIf(g api.Goodbye, code int, cond func() bool) bool {
	s.mu.Lock()
	if s.state == stateClosed || !cond() {
		s.mu.Unlock()
		return false
	}
	g.Kind = "goodbye"
	s.passing(&g)
	ch := s.ch
	s.state, s.ch, s.bye = stateClosed, nil, g.Reason
	s.out, s.open, s.asked, s.subs = replay{}, nil, memory{}, nil
	s.mu.Unlock()
	if ch != nil {
		ch.Close(code, g.Reason)
	}
	s.reg.retire(s)
	return true
}

// outlet is the session as the focus sees it.
type outlet struct{ s *Session }

var _ control.Sink = outlet{}

// Notify implements control.Sink. The value may be shared by many sessions.
func (o outlet) Notify(n *api.Notify) {
	own := *n
	own.Kind = "notify"
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.emit(&own)
}

// Message implements control.Sink.
func (o outlet) Message(m *api.Message) {
	own := *m
	own.Kind = "message"
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.emit(&own)
}

// Goodbye implements control.Sink.
func (o outlet) Goodbye(g api.Goodbye) {
	code := CloseNormal
	if g.Action == "reconnect" {
		code = CloseRestart
	}
	o.s.end(g, code)
}
