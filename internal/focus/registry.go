package focus

import (
	"encoding/json"
	"errors"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/media/sdp"
)

// newItem turns a request into work for a room. Parsing is done here, on the
// caller's goroutine, so that a heavy description holds up nobody else.
func (f *Focus) newItem(c control.Caller, req *api.Request) *item {
	it := &item{caller: c, uri: req.Conf, method: req.Method, ifRev: req.IfRev, at: f.cfg.Clock.Now(), ttlMs: req.TTLMs}
	it.params, it.err = control.Decode(req.Method, req.Params)
	switch p := it.params.(type) {
	case api.StartParams:
		if p.URI != "" {
			it.uri = p.URI
		}
	case api.JoinParams:
		if p.Offer != nil && it.err == nil {
			it.offer, it.err = sdp.Parse([]byte(p.Offer.SDP))
		}
	case api.OfferParams:
		if req.Method == api.MediaOffer && it.err == nil && p.Peer == nil {
			it.offer, it.unread = sdp.Parse([]byte(p.SDP))
		}
	}
	return it
}

// route hands an item to its room. A room that is just going is not found
// again, so the loop ends.
func (f *Focus) route(it *item) {
	for {
		r, err := f.find(it)
		if err != nil {
			it.settle(err)
			return
		}
		switch err := r.box.put(it); {
		case err == nil:
			return
		case errors.Is(err, errClosed):
			f.remove(r)
		default:
			it.refuse(err)
			return
		}
	}
}

// find returns the room of an item, made now if the command may bring it about.
func (f *Focus) find(it *item) (*room, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[it.caller.Session]
	if s == nil {
		return nil, fault.New(481, "no-session", "unknown session")
	}
	it.session = s
	r := f.byURI[it.uri]
	if byID := f.byID[ids.Conference(it.uri)]; byID != nil {
		r = byID
	}
	if r == nil {
		var err error
		if r, err = f.create(it); err != nil {
			return nil, err
		}
	}
	s.rooms[r] = struct{}{}
	return r, nil
}

// create starts a room, with the lock held. Whether the caller may really
// start it is the machine's decision; a room that nobody starts goes at once.
func (f *Focus) create(it *item) (*room, error) {
	starts := it.method == api.ConferenceStart || it.method == api.ConferenceJoin
	switch {
	case f.ended.has(ids.Conference(it.uri)):
		return nil, fault.New(410, "gone", "the conference has ended")
	case starts && ofSidebar(it.uri):
		return nil, fault.New(410, "gone", "the sidebar has ended")
	case !starts || strings.HasPrefix(it.uri, "conf_"):
		return nil, fault.New(404, "not-found", "no such conference")
	case !ids.ValidName(it.uri):
		return nil, fault.New(400, "bad-request", "conference name")
	case f.stopped.Load():
		return nil, overloaded("shutting down")
	case len(f.byID) >= f.cfg.MaxConferences:
		return nil, overloaded("too many conferences")
	}
	r := newRoom(f, ids.NewConference(), it.uri)
	f.launch(r)
	return r, nil
}

// launch makes a room known and starts its loop, with the lock held.
func (f *Focus) launch(r *room) {
	f.byURI[r.uri], f.byID[r.id] = r, r
	f.wg.Add(1)
	go func() {
		defer f.wg.Done()
		r.run()
	}()
}

// remove forgets a room; its name is told to have ended for a while.
func (f *Focus) remove(r *room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID[r.id] != r {
		return
	}
	delete(f.byID, r.id)
	if f.byURI[r.uri] == r {
		delete(f.byURI, r.uri)
	}
	for _, s := range f.sessions {
		delete(s.rooms, r)
	}
	f.ended.add(r.id)
}

// settle answers for a conference that does not exist: what would remove
// something has been done already.
func (it *item) settle(err error) {
	fe := fault.From(err)
	removal := it.method == api.ConferenceLeave || it.method == api.ConferenceEnd
	if removal && fe.Code == 410 {
		it.succeed(api.Done{Already: true})
		return
	}
	it.refuse(err)
}

// succeed gives the final answer 200.
func (it *item) succeed(result any) {
	if it.reply == nil {
		return
	}
	b, err := json.Marshal(result)
	if err != nil {
		it.refuse(err)
		return
	}
	code := 200
	if _, peer := result.(api.PeerDescription); peer && it.method == api.MediaOffer {
		code = 202 // the answer comes from the other device, as an event
	}
	it.reply(&api.Response{Code: code, Final: true, Result: b})
}

// proceed gives a provisional answer.
func (it *item) proceed(code int, result any) {
	if it.reply == nil {
		return
	}
	b, _ := json.Marshal(result) // strings
	it.reply(&api.Response{Code: code, Result: b})
}

// refuse gives the final answer of a refusal.
func (it *item) refuse(err error) {
	if it.reply == nil {
		return
	}
	fe := fault.From(err)
	it.reply(&api.Response{Code: fe.Code, Final: true, Error: &api.Error{
		Code: fe.Code, Reason: fe.Reason, Message: fe.Message, Data: fe.Data,
		RetryAfterMs: fe.RetryAfter.Milliseconds(),
	}})
}

// tombstones remembers conferences that ended, the last few hundred of them.
type tombstones struct {
	set  map[ids.Conference]struct{}
	list []ids.Conference
}

const maxTombstones = 512

func (t *tombstones) add(id ids.Conference) {
	if t.set == nil {
		t.set = map[ids.Conference]struct{}{}
	}
	if len(t.list) == maxTombstones {
		delete(t.set, t.list[0])
		t.list = t.list[1:]
	}
	t.set[id] = struct{}{}
	t.list = append(t.list, id)
}

func (t *tombstones) has(id ids.Conference) bool {
	_, ok := t.set[id]
	return ok
}
