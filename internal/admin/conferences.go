package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/focus"
)

// shown is a definition with what is true of it now: the state on disk may be
// a moment behind the conference.
func (c *call) shown(d api.Definition) api.Definition {
	if st, ok := c.h.cfg.Conferences.Status(d.URI); ok && st.Active {
		d.State, d.Users = api.StateActive, st.UserCount
	}
	return d
}

func (c *call) active(uri string) bool {
	st, ok := c.h.cfg.Conferences.Status(uri)
	return ok && st.Active
}

func (c *call) tag(rev uint64) {
	if rev > 0 {
		c.header.Set("ETag", fmt.Sprintf("%q", fmt.Sprint(rev)))
	}
}

func list(c *call) (any, error) {
	states, err := c.states()
	if err != nil {
		return nil, err
	}
	offset, err := c.number("offset", 0)
	if err != nil {
		return nil, err
	}
	limit, err := c.number("limit", defaultPage)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), maxPage)
	q := strings.ToLower(c.r.URL.Query().Get("q"))
	if len(q) > maxQuery {
		return nil, bad("q", "must be at most 128 bytes")
	}
	out := api.ConferenceList{Conferences: []api.Definition{}, Offset: offset, Limit: limit}
	for _, d := range c.h.cfg.Definitions.All() {
		d = c.shown(d)
		if states != nil && !slices.Contains(states, d.State) ||
			q != "" && !strings.Contains(strings.ToLower(d.URI), q) && !strings.Contains(strings.ToLower(d.Title), q) {
			continue
		}
		if out.Total >= offset && len(out.Conferences) < limit {
			out.Conferences = append(out.Conferences, d)
		}
		out.Total++
	}
	return out, nil
}

func create(c *call) (any, error) {
	var in api.CreateConference
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.URI == "" {
		_, in.URI, _ = strings.Cut(string(ids.NewParticipant()), "_")
	}
	if !ids.ValidName(in.URI) || strings.HasPrefix(in.URI, "conf_") {
		return nil, bad("uri", "must be 1 to 64 letters, digits, - _ or .")
	}
	if err := c.check(in.Title, in.StartsAt, in.EndsAt, in.Policy); err != nil {
		return nil, err
	}
	if c.active(in.URI) {
		return nil, errExists()
	}
	d, rev, err := c.h.cfg.Conferences.Amend(in.URI, func(d *api.Definition, exists bool) error {
		if exists {
			return errExists()
		}
		d.Title, d.StartsAt, d.EndsAt, d.Policy, d.Owner = in.Title, in.StartsAt, in.EndsAt, in.Policy, c.by.Subject
		return nil
	})
	if err != nil {
		return nil, err
	}
	if in.Start {
		if d, rev, err = c.start(d); err != nil {
			return nil, err
		}
	}
	c.tag(rev)
	c.header.Set("Location", Prefix+"/conferences/"+d.URI)
	return c.shown(d), nil
}

func errExists() error {
	return fault.New(409, "exists", "There is a conference of that name; reopen or change it")
}

func (c *call) check(title, starts, ends string, p api.Policy) error {
	if err := checkText("title", title); err != nil {
		return err
	}
	if err := checkTimes(starts, ends); err != nil {
		return err
	}
	if _, err := c.h.cfg.Policy.With(p, c.h.cfg.Policy); err != nil {
		return bad("policy", fault.From(err).Message)
	}
	if p.Topology != "" {
		return checkPlanned(api.PutTopology{Topology: p.Topology, AllowDiscouraged: p.AllowDiscouraged != nil && *p.AllowDiscouraged})
	}
	return nil
}

// start brings a defined conference about and returns its definition again.
func (c *call) start(d api.Definition) (api.Definition, uint64, error) {
	if _, err := c.do(d.URI, api.ConferenceStart, api.StartParams{Title: d.Title}, nil); err != nil {
		return d, 0, err
	}
	d, rev, _ := c.h.cfg.Definitions.Get(d.URI)
	return d, rev, nil
}

func get(c *call) (any, error) {
	d, rev, ok := c.h.cfg.Definitions.Get(c.uri)
	s, err := c.h.cfg.Conferences.Inspect(c.r.Context(), c.uri, false)
	if err != nil && fault.From(err).Code != 404 {
		return nil, err
	}
	if !ok && s == nil {
		return nil, errNotFound()
	}
	out := api.ConferenceDetail{Definition: d}
	if s != nil {
		out.URI, out.State, out.Conf, out.Users, out.Live = c.uri, api.StateActive, s.Live.Conf, s.Live.Users, &s.Live
	}
	c.tag(rev)
	return out, nil
}

func patch(c *call) (any, error) {
	var in api.PatchConference
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	match, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	_, rev, ok := c.h.cfg.Definitions.Get(c.uri)
	running := c.active(c.uri)
	switch {
	case !ok && !running:
		return nil, errNotFound()
	case match != nil && *match != rev:
		e := fault.New(412, "stale", "The conference has changed since")
		e.Data = map[string]any{"rev": rev}
		return nil, e
	case running && in.Banned != nil:
		return nil, bad("banned", "bans of an active conference are made by participant.expel and lifted by conference.setPolicy")
	}
	if err := c.checkPatch(&in); err != nil {
		return nil, err
	}
	if running && (in.Policy != nil || in.Title != nil) {
		if err := c.patchLive(&in); err != nil {
			return nil, err
		}
	}
	d, rev, err := c.h.cfg.Conferences.Amend(c.uri, func(d *api.Definition, exists bool) error {
		if !exists && !running {
			return errNotFound()
		}
		return apply(d, &in, running)
	})
	if err != nil {
		return nil, err
	}
	c.tag(rev)
	return c.shown(d), nil
}

func (c *call) checkPatch(in *api.PatchConference) error {
	var title string
	var p api.Policy
	if in.Title != nil {
		title = *in.Title
	}
	if in.Policy != nil {
		p = *in.Policy
	}
	if in.Banned != nil {
		if err := checkBanned(*in.Banned); err != nil {
			return err
		}
	}
	return c.check(title, "", "", p)
}

// patchLive goes through the conference itself, so that it holds at once.
func (c *call) patchLive(in *api.PatchConference) error {
	var p api.SetPolicyParams
	if in.Policy != nil {
		p.Policy = *in.Policy
	}
	if in.Title != nil {
		p.Title = *in.Title
	}
	_, err := c.do(c.uri, api.PolicySet, p, nil)
	return err
}

// apply puts a patch over a definition; policy and title of a running one are
// the conference's to keep.
func apply(d *api.Definition, in *api.PatchConference, running bool) error {
	if in.StartsAt != nil {
		d.StartsAt = *in.StartsAt
	}
	if in.EndsAt != nil {
		d.EndsAt = *in.EndsAt
	}
	if in.Title != nil && (!running || *in.Title == "") {
		d.Title = *in.Title
	}
	if in.Policy != nil && !running {
		d.Policy = focus.Overlay(d.Policy, *in.Policy)
		if err := checkSealed(d.Policy); err != nil {
			return err
		}
	}
	if in.Banned != nil {
		d.Banned = slices.Clone(*in.Banned)
	}
	return checkTimes(d.StartsAt, d.EndsAt)
}

func reopen(c *call) (any, error) {
	var in api.ReopenConference
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := checkTimes(in.StartsAt, in.EndsAt); err != nil {
		return nil, err
	}
	if c.active(c.uri) {
		return nil, fault.New(409, "active", "The conference is active")
	}
	d, rev, err := c.h.cfg.Conferences.Amend(c.uri, func(d *api.Definition, exists bool) error {
		if !exists {
			return errNotFound()
		}
		d.State, d.EndedAt, d.StartsAt, d.EndsAt = api.StateScheduled, "", in.StartsAt, in.EndsAt
		return nil
	})
	if err != nil {
		return nil, err
	}
	if in.Start {
		if d, rev, err = c.start(d); err != nil {
			return nil, err
		}
	}
	c.tag(rev)
	return c.shown(d), nil
}

func remove(c *call) (any, error) {
	if c.active(c.uri) {
		if c.r.URL.Query().Get("end") != "true" {
			return nil, fault.New(409, "active", "The conference is active; end it first, or ask with end=true")
		}
		if _, err := c.do(c.uri, api.ConferenceEnd, api.EndParams{Reason: "deleted"}, nil); err != nil {
			return nil, err
		}
	}
	for range deleteTries { // another writer may come between
		_, rev, ok := c.h.cfg.Definitions.Get(c.uri)
		if !ok {
			return nil, nil
		}
		if c.h.cfg.Definitions.Delete(c.r.Context(), c.uri, rev) == nil {
			return nil, nil
		}
	}
	e := fault.New(503, "not-stored", "The change could not be stored")
	e.RetryAfter = 5 * time.Second
	return nil, e
}

const deleteTries = 5

// do gives a command for the house and waits for its answer.
func (c *call) do(uri, method string, params any, rev *uint64) (json.RawMessage, error) {
	raw, ok := params.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(params); err != nil {
			return nil, err
		}
	}
	caller := c.h.caller
	caller.By, caller.Addr = c.by, c.h.cfg.AddrOf(c.r)
	final := make(chan *api.Response, 1)
	c.h.cfg.Conferences.Do(caller, &api.Request{
		Kind: "request", ID: "api", Method: method, Conf: uri, Params: raw, IfRev: rev, TTLMs: int(commandTTL / time.Millisecond),
	}, func(r *api.Response) {
		if r.Final {
			final <- r
		}
	})
	late := time.NewTimer(commandTTL + time.Second)
	defer late.Stop()
	select {
	case r := <-final:
		return outcome(r)
	case <-late.C:
	case <-c.r.Context().Done():
	}
	return nil, fault.New(504, "timeout", "The conference did not answer in time")
}

// commandTTL is below the server's time for writing an answer.
const commandTTL = 10 * time.Second

func outcome(r *api.Response) (json.RawMessage, error) {
	if e := r.Error; e != nil {
		return nil, &fault.Error{
			Code: e.Code, Reason: e.Reason, Message: e.Message, Data: e.Data, RetryAfter: time.Duration(e.RetryAfterMs) * time.Millisecond,
		}
	}
	if len(r.Result) == 0 {
		return json.RawMessage("{}"), nil
	}
	return r.Result, nil
}

func command(c *call) (any, error) {
	method := c.r.PathValue("method")
	if !commands[method] {
		if slices.Contains(control.Methods(), method) {
			return nil, fault.New(405, "method-not-allowed", "This command needs somebody to have joined")
		}
		return nil, errNotFound()
	}
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	rev, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	return c.do(c.uri, method, json.RawMessage(b), rev)
}
