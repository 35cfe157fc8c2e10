package focus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
)

// Definitions keeps conferences across restarts. Reads are from memory and
// never wait; writes return when the record is on disk, with an error when its
// revision was not the one given (0: there is none). Safe for concurrent use.
type Definitions interface {
	Get(uri string) (def api.Definition, rev uint64, ok bool)
	Put(ctx context.Context, def api.Definition, rev uint64) (uint64, error)
	Delete(ctx context.Context, uri string, rev uint64) error
	All() []api.Definition
}

const (
	// keepWithin bounds a write that somebody waits for.
	keepWithin = 6 * time.Second
	// maxBanned bounds the list of a definition; beyond it the oldest bans go.
	maxBanned = 1000
	// amendTries is how often a change starts again because another came first.
	amendTries = 32
)

// errNothing is an amendment's answer that there is nothing to keep.
var errNothing = errors.New("focus: nothing to keep")

// amendment changes a definition; exists tells whether there was one.
type amendment func(d *api.Definition, exists bool) error

// Amend changes the definition of a conference and returns it with its revision
// once it is kept. The change may run more than once.
func (f *Focus) Amend(uri string, change func(d *api.Definition, exists bool) error) (api.Definition, uint64, error) {
	if f.cfg.Definitions == nil {
		return api.Definition{}, 0, notStored(nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepWithin)
	defer cancel()
	for try := 1; ; try++ {
		def, rev, ok := f.cfg.Definitions.Get(uri)
		if !ok {
			def = api.Definition{URI: uri, State: api.StateScheduled, CreatedAt: f.wall()}
		}
		def.Banned = slices.Clone(def.Banned)
		if err := change(&def, ok); err != nil {
			return api.Definition{}, 0, err
		}
		next, err := f.cfg.Definitions.Put(ctx, def, rev)
		if err == nil {
			return def, next, nil
		}
		if _, now, _ := f.cfg.Definitions.Get(uri); try == amendTries || now == rev || ctx.Err() != nil {
			return api.Definition{}, 0, notStored(err)
		}
	}
}

func notStored(err error) *fault.Error {
	e := fault.New(503, "not-stored", "the change could not be stored")
	e.RetryAfter, e.Err = 5*time.Second, err
	return e
}

// wall is now as definitions write it.
func (f *Focus) wall() string { return control.Wall(f.cfg.Clock.Anchor(), f.cfg.Clock.Now()) }

// Recover puts right what a crash left: on a node that has just started, no
// conference is active. Call it before the first request.
func (f *Focus) Recover() error {
	for _, d := range f.cfg.Definitions.All() {
		if d.State != api.StateActive {
			continue
		}
		if _, _, err := f.Amend(d.URI, func(d *api.Definition, _ bool) error {
			rest(d, f.wall(), false)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// rest is what becomes of an active conference's definition: it has ended, or
// is scheduled still when nobody ended it and its time is not over.
func rest(d *api.Definition, now string, ended bool) {
	later := func(at string) bool { // instants of either form; unreadable ones are past
		a, err := time.Parse(time.RFC3339, at)
		n, _ := time.Parse(time.RFC3339, now)
		return err == nil && a.After(n)
	}
	if !ended && (later(d.StartsAt) || later(d.EndsAt)) {
		d.State = api.StateScheduled
		return
	}
	d.State, d.EndedAt = api.StateEnded, now
}

// keeper writes behind what nobody waits for, in order.
type keeper struct {
	mu      sync.Mutex // guards what follows
	queue   []func()
	running bool
}

// later has a change kept soon. It never waits: a slow disk must not hold up
// people who start talking.
func (f *Focus) later(uri string, change amendment) {
	k := &f.keep
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue = append(k.queue, func() {
		if _, _, err := f.Amend(uri, change); err != nil && !errors.Is(err, errNothing) {
			f.cfg.Log.Warn("a conference's state was not stored", "err", err)
		}
	})
	if !k.running {
		k.running = true
		f.wg.Go(f.flush)
	}
}

func (f *Focus) flush() {
	k := &f.keep
	for {
		k.mu.Lock()
		if len(k.queue) == 0 {
			k.running = false
			k.mu.Unlock()
			return
		}
		next := k.queue[0]
		k.queue = k.queue[1:]
		k.mu.Unlock()
		next()
	}
}

// definition is what a new room starts from.
func (f *Focus) definition(uri string) api.Definition {
	if f.cfg.Definitions == nil {
		return api.Definition{}
	}
	d, _, _ := f.cfg.Definitions.Get(uri)
	return d
}

// remember keeps what a command changed, before it is answered.
func (r *room) remember(e control.Remember) {
	if r.f.cfg.Definitions == nil || r.branch.main != "" {
		return
	}
	_, _, err := r.f.Amend(r.uri, func(d *api.Definition, _ bool) error {
		merge(d, e)
		return nil
	})
	if err != nil {
		r.log.Error("a change was not stored", "err", err)
		r.unkept = err
	}
}

func merge(d *api.Definition, e control.Remember) {
	if e.Title != nil {
		d.Title = *e.Title
	}
	if e.Policy != nil {
		d.Policy = Overlay(d.Policy, *e.Policy)
	}
	d.Banned = slices.DeleteFunc(d.Banned, func(u string) bool {
		return slices.Contains(e.Unban, u) || slices.Contains(e.Ban, u)
	})
	d.Banned = append(d.Banned, e.Ban...)
	if over := len(d.Banned) - maxBanned; over > 0 {
		d.Banned = d.Banned[over:]
	}
}

// Overlay puts the members of b that are set over a.
func Overlay(a, b api.Policy) api.Policy {
	over(&a.Lobby, b.Lobby)
	over(&a.WaitModerator, b.WaitModerator)
	over(&a.MaxUsers, b.MaxUsers)
	over(&a.SingleDevice, b.SingleDevice)
	over(&a.AllowSidebars, b.AllowSidebars)
	over(&a.AllowInvite, b.AllowInvite)
	over(&a.Chat, b.Chat)
	over(&a.OneScreen, b.OneScreen)
	over(&a.MaxFloorUsers, b.MaxFloorUsers)
	over(&a.FloorMutes, b.FloorMutes)
	over(&a.LastN, b.LastN)
	over(&a.LoudestK, b.LoudestK)
	over(&a.FloorChair, b.FloorChair)
	if b.FloorAlgorithm != "" {
		a.FloorAlgorithm = b.FloorAlgorithm
	}
	if b.Floors != nil {
		a.Floors = b.Floors
	}
	if b.Topology != "" {
		a.Topology, a.AllowDiscouraged = b.Topology, nil // that was said of another one
	}
	over(&a.AllowDiscouraged, b.AllowDiscouraged)
	over(&a.E2EE, b.E2EE)
	return a
}

func over[T any](to **T, v *T) {
	if v != nil {
		*to = v
	}
}

// phase notes that the conference has started or ended.
func (r *room) phase(now clock.Time) {
	c := r.m.Conference()
	if r.f.cfg.Definitions == nil || r.branch.main != "" || c.Phase == r.kept || r.stopping {
		return // a node that stops looks like one that crashed: see Recover
	}
	was := r.kept
	r.kept = c.Phase
	at, conf := control.Wall(r.f.cfg.Clock.Anchor(), now), string(r.id)
	switch {
	case c.Phase == model.Active:
		title, creator := c.Title, c.Creator
		r.f.later(r.uri, func(d *api.Definition, exists bool) error {
			d.State, d.Conf, d.EndedAt = api.StateActive, conf, ""
			if !exists {
				d.Owner, d.CreatedAt = creator, at
			}
			if d.Title == "" {
				d.Title = title
			}
			return nil
		})
	case c.Phase == model.Ended && was != model.Scheduled:
		ended := r.why != "empty"
		r.f.later(r.uri, func(d *api.Definition, exists bool) error {
			if !exists || d.Conf != conf { // deleted, or another instance runs
				return errNothing
			}
			rest(d, at, ended)
			return nil
		})
	}
}
