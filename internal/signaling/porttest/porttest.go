// Package porttest is a control.Port for tests of the dialects: it writes down
// what it is told and answers as the test says. Not part of the server. Safe
// for concurrent use.
package porttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
)

// Reply is what a handler calls.
type Reply = func(*api.Response)

// Port records calls. The zero value answers every request with 200.
type Port struct {
	// On answers a method ("subscribe" for subscriptions' requests). It runs
	// inside Do, as a focus that answers at once would.
	On map[string]func(c control.Caller, req *api.Request, reply Reply)

	mu      sync.Mutex
	calls   []string
	callers map[ids.Session]control.Caller
	sinks   map[ids.Session]control.Sink
	msgs    []*api.Message
}

var _ control.Port = (*Port)(nil)

func (p *Port) note(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, fmt.Sprintf(format, a...))
}

// Calls returns what happened so far, such as "do track.mute" or "closed grace".
func (p *Port) Calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Count returns how many calls begin with prefix.
func (p *Port) Count(prefix string) int {
	n := 0
	for _, c := range p.Calls() {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// Sink returns a session's sink; nil if it is not known.
func (p *Port) Sink(s ids.Session) control.Sink {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sinks[s]
}

// Callers returns everybody ever attached.
func (p *Port) Callers() []control.Caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]control.Caller, 0, len(p.callers))
	for _, c := range p.callers {
		out = append(out, c)
	}
	return out
}

// Messages returns the one-way messages that came in.
func (p *Port) Messages() []*api.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.msgs)
}

// Attach implements control.Port.
func (p *Port) Attach(c control.Caller, s control.Sink) {
	p.mu.Lock()
	if p.sinks == nil {
		p.sinks, p.callers = make(map[ids.Session]control.Sink), make(map[ids.Session]control.Caller)
	}
	p.sinks[c.Session], p.callers[c.Session] = s, c
	p.mu.Unlock()
	p.note("attach %s", c.Dialect)
}

// Do implements control.Port.
func (p *Port) Do(c control.Caller, req *api.Request, reply func(*api.Response)) {
	p.note("do %s %s", req.Method, req.ID)
	if f := p.On[req.Method]; f != nil {
		f(c, req, reply)
		return
	}
	reply(OK(nil))
}

// Subscribe implements control.Port.
func (p *Port) Subscribe(c control.Caller, s *api.Subscribe, reply func(*api.Response)) {
	p.note("subscribe %s %s", s.Conf, s.Package)
	if f := p.On["subscribe"]; f != nil {
		f(c, &api.Request{ID: s.ID, Conf: s.Conf}, reply)
		return
	}
	reply(OK(nil))
	p.Sink(c.Session).Notify(&api.Notify{Sub: s.ID, Package: s.Package, State: "full", Version: 1, Body: json.RawMessage(`{}`)})
}

// Message implements control.Port.
func (p *Port) Message(_ control.Caller, m *api.Message) {
	p.note("message %s", m.Method)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.msgs = append(p.msgs, m)
}

// Suspended implements control.Port.
func (p *Port) Suspended(ids.Session) { p.note("suspended") }

// Resumed implements control.Port.
func (p *Port) Resumed(s ids.Session, sink control.Sink) {
	p.mu.Lock()
	p.sinks[s] = sink
	p.mu.Unlock()
	p.note("resumed")
}

// Closed implements control.Port.
func (p *Port) Closed(_ ids.Session, why string) { p.note("closed %s", why) }

// OK is a final 200 with a result.
func OK(result any) *api.Response {
	r := &api.Response{Kind: "response", Code: 200, Final: true}
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			panic(err)
		}
		r.Result = b
	}
	return r
}

// Refuse is a final refusal.
func Refuse(code int, reason string) *api.Response {
	return &api.Response{Kind: "response", Code: code, Final: true, Error: &api.Error{Code: code, Reason: reason}}
}
