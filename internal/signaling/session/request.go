package session

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
)

// pending is a request without its final response.
type pending struct {
	asked    *asked
	deadline clock.Time // zero: none (it waits in a lobby)
}

// Request runs one request. Its answer, or answers, come as frames.
func (s *Session) Request(ch Channel, r *api.Request) {
	if !s.enter(ch, r.ID, r.Ack) {
		return
	}
	s.port.Lock()
	defer s.port.Unlock()
	p := s.begin(ch, r.ID, bodyOf(r), time.Duration(r.TTLMs)*time.Millisecond)
	if p == nil {
		return
	}
	if e := s.reg.check(r); e != nil {
		s.answer(p, refusal(e))
		return
	}
	if r.Method == api.RequestCancel {
		s.answer(p, s.cancel(r))
		return
	}
	s.reg.cfg.Port.Do(s.caller, r, func(resp *api.Response) { s.answer(p, resp) })
}

// Subscribe starts, refreshes or ends a subscription.
func (s *Session) Subscribe(ch Channel, sub *api.Subscribe) {
	if !s.enter(ch, sub.ID, sub.Ack) {
		return
	}
	s.port.Lock()
	defer s.port.Unlock()
	p := s.begin(ch, sub.ID, bodyOfSubscribe(sub), 0)
	if p == nil {
		return
	}
	if !s.roomForSub(sub) {
		s.answer(p, refusal(errTooMany("subscriptions")))
		return
	}
	s.reg.cfg.Port.Subscribe(s.caller, sub, func(resp *api.Response) {
		if resp.Final && resp.Code/100 == 2 {
			s.keepSub(sub)
		}
		s.answer(p, resp)
	})
}

// begin registers a request, or answers it at once and returns nil: a repeated
// id, or too many open ones.
func (s *Session) begin(ch Channel, id string, body [sha256.Size]byte, ttl time.Duration) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen || s.ch != ch { // taken over or ended meanwhile
		return nil
	}
	switch {
	case !validID(id):
		s.refuse(id, badRequest("id must be 1 to 64 printable characters"))
		return nil
	case ttl < 0:
		s.refuse(id, badRequest("ttlMs is negative"))
		return nil
	}
	if a := s.asked.find(id); a != nil {
		s.again(a, body)
		return nil
	}
	if len(s.open) >= s.reg.cfg.Limits.OpenRequests {
		s.refuse(id, errTooMany("open requests"))
		return nil
	}
	now := s.reg.cfg.Now()
	if ttl == 0 {
		ttl = s.reg.cfg.RequestTTL
	}
	p := &pending{asked: s.asked.add(id, body, now), deadline: now.Add(min(ttl, s.reg.cfg.MaxTTL))}
	if s.open == nil {
		s.open = make(map[string]*pending)
	}
	s.open[id] = p
	if s.asked.full(s.reg.cfg.RememberIDs) {
		s.asked.trim(now, s.reg.cfg.Remember, s.reg.cfg.RememberIDs)
	}
	return p
}

// again answers an id that was used before. Needs mu.
func (s *Session) again(a *asked, body [sha256.Size]byte) {
	switch {
	case a.body != body:
		s.refuse(a.id, errIDReuse())
	case a.answer == nil: // its one final response is still to come
		s.emit(&api.Response{Kind: "response", ID: a.id, Code: 100, Dup: true})
	default:
		r := *a.answer
		r.Dup = true
		s.emit(&r)
	}
}

// refuse answers without remembering, so that the id may be used again. Needs mu.
func (s *Session) refuse(id string, e *fault.Error) {
	if !validID(id) {
		id = ""
	}
	r := refusal(e)
	r.Kind, r.ID = "response", id
	s.emit(r)
}

// answer sends a response of the Port. After the final one, or a time-out in
// its place, whatever else comes is dropped.
func (s *Session) answer(p *pending, resp *api.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p.asked.id] != p {
		return
	}
	r := *resp
	r.Kind, r.ID, r.Dup = "response", p.asked.id, false
	if r.Final {
		delete(s.open, p.asked.id)
		stored := r
		s.asked.finish(p.asked, &stored)
	} else if r.Code == 182 {
		p.deadline = 0 // queued or in a lobby: a person decides, not a clock
	}
	s.emit(&r)
}

// cancel ends another open request with 487. The command itself may already be
// on its way to commit; its late final is dropped like any other.
func (s *Session) cancel(r *api.Request) *api.Response {
	var params api.CancelParams
	if json.Unmarshal(r.Params, &params) != nil || params.ID == "" || params.ID == r.ID {
		return refusal(badRequest("params.id must name another request"))
	}
	s.mu.Lock()
	target := s.open[params.ID]
	known := s.asked.find(params.ID) != nil
	s.mu.Unlock()
	switch {
	case target != nil:
		s.answer(target, refusal(errCancelled()))
		return &api.Response{Code: 200, Final: true}
	case known:
		return &api.Response{Code: 200, Final: true, Result: json.RawMessage(`{"already":true}`)}
	}
	return refusal(fault.New(404, "not-found", "No such request"))
}

func refusal(e *fault.Error) *api.Response {
	return &api.Response{Code: e.Code, Final: true, Error: Wire(e)}
}

func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func (s *Session) roomForSub(sub *api.Subscribe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, have := s.subs[subKey{sub.Conf, sub.Package}]
	return have || len(s.subs) < s.reg.cfg.Limits.Subscriptions
}

// keepSub remembers a subscription, to be asked for again after an overrun.
func (s *Session) keepSub(sub *api.Subscribe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateClosed {
		return
	}
	key := subKey{sub.Conf, sub.Package}
	if sub.ExpiresS != nil && *sub.ExpiresS == 0 {
		delete(s.subs, key)
		return
	}
	if s.subs == nil {
		s.subs = make(map[subKey]*api.Subscribe)
	}
	s.subs[key] = sub
}
