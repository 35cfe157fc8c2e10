package focus

import (
	"cmp"
	"slices"
	"strings"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// branch is what a room knows of being a sidebar. Zero: it is none.
type branch struct {
	main  ids.Conference
	show  bool   // the main conference shows it by value
	shown uint64 // revision that it was shown
}

// further does the work that not every conference has.
func (r *room) further(now clock.Time, e control.Effect) {
	switch e := e.(type) {
	case control.ToRoom:
		r.f.post(e.Conf, e.Fact, e.Params)
	case control.OpenSidebar:
		r.openSidebar(e)
	case control.AskOffer:
		if l := r.legs[e.MS]; l != nil {
			l.forced = true
			l.need(now, needSoon, e.Reason)
		}
	case control.Rearrange:
		r.rearrange(now)
	case control.Rewire:
		r.rewire(now, e)
	case control.ReleaseMedia:
		r.releaseMedia(now, e)
	case control.Reselect:
		r.reselect()
	}
}

// post gives a fact to a running conference. If it has ended, there is nobody
// to be told.
func (f *Focus) post(to ids.Conference, fact string, params any) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if r := f.byID[to]; r != nil {
		r.box.force(&item{fact: fact, params: params})
	}
}

// openSidebar starts the loop of a sidebar. When the node cannot hold one more
// conference, it has ended before anybody came.
func (r *room) openSidebar(e control.OpenSidebar) {
	if err := r.f.open(e); err != nil {
		r.log.Warn("a sidebar was not opened", "err", err.Reason)
		r.box.force(&item{fact: control.SidebarClosed, params: control.Over{Sidebar: e.ID, Reason: err.Reason}})
	}
}

func (f *Focus) open(e control.OpenSidebar) *fault.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stopped.Load():
		return overloaded("shutting down")
	case len(f.byID) >= f.cfg.MaxConferences:
		return overloaded("too many conferences")
	}
	r := newRoomOf(f, control.Config{
		ID: e.ID, URI: e.URI, Anchor: f.cfg.Clock.Anchor(), IDs: *f.cfg.IDs, Policy: e.Policy, Main: &e.Main,
		Recorder: f.cfg.Recorder, CanMix: f.canMix(),
	})
	r.branch = branch{main: e.Main.ID, show: e.Show}
	r.box.force(&item{fact: control.SidebarOpened, params: control.Opened{Title: e.Title, Creator: e.Creator}})
	f.launch(r)
	return nil
}

// ofSidebar reports whether a name is one that only sidebars have.
func ofSidebar(uri string) bool { return strings.Contains(uri, "+sb") }

// showMain lets the main conference see how a sidebar looks now.
func (r *room) showMain() {
	c := r.m.Conference()
	if !r.branch.show || r.branch.shown == c.Rev || r.over {
		return
	}
	r.branch.shown = c.Rev
	r.f.post(r.branch.main, control.SidebarShown, control.Shown{Sidebar: r.id, Val: c.Copy(), Users: r.m.Users()})
}

// transfer looks a destination up that the machine cannot know.
func (r *room) transfer(now clock.Time, it *item) (any, error) {
	c := it.command(it.method, it.params)
	if p, ok := it.params.(api.TransferParams); ok {
		c.Dest = r.f.destination(p.To)
	}
	return r.step(now, c)
}

func (f *Focus) destination(name string) *control.Destination {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r := cmp.Or(f.byID[ids.Conference(name)], f.byURI[name])
	switch {
	case r != nil && r.branch.main != "":
		return nil // a sidebar of another conference is nobody else's destination
	case r != nil:
		st := r.status.Load()
		return &control.Destination{Place: model.Place{ID: r.id, URI: r.uri}, Active: st != nil && st.Active}
	case f.ended.has(ids.Conference(name)):
		return &control.Destination{Place: model.Place{ID: ids.Conference(name)}}
	}
	return nil
}

// progressing runs a command that tells how it goes before its final answer.
func (r *room) progressing(now clock.Time, it *item) (any, error) {
	n := len(r.out.Effects)
	res, err := r.step(now, it.command(it.method, it.params))
	for _, e := range r.out.Effects[n:] {
		if p, ok := e.(control.Progress); ok {
			it.proceed(p.Code, p.Result)
		}
	}
	return res, err
}

// sync answers media.sync. A client that is out of step is asked for an offer.
func (r *room) sync(now clock.Time, it *item) (any, error) {
	res, err := r.step(now, it.command(it.method, it.params))
	d := r.m.Device(it.caller.Session)
	if err != nil && d != nil && fault.From(err).Reason == "resync-media" {
		l := r.leg(d)
		l.forced = true
		l.need(now, needSoon, "resync")
	}
	if d != nil {
		if l := r.legs[d.MS]; l != nil {
			l.unsure = true
		}
	}
	return res, err
}

// pinned lists the tracks of a kind that a device wants in sight.
func (r *room) pinned(d *model.Device, kind plane.Kind) []ids.Track {
	return slices.DeleteFunc(r.m.Pinned(d), func(id ids.Track) bool {
		k := r.m.Conference().Tracks[id]
		return k == nil || k.Kind != kind.String()
	})
}

// pinsFirst puts pinned tracks before those of who speaks.
func pinsFirst(pins, speakers []ids.Track) []ids.Track {
	return append(pins, slices.DeleteFunc(slices.Clone(speakers), func(t ids.Track) bool { return slices.Contains(pins, t) })...)
}
