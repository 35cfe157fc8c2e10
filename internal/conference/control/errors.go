package control

import (
	"time"

	"parley/internal/base/fault"
)

// Refusals with one text each; codes and reasons are those of section 4.4.

func errUnknownMethod() error { return fault.New(501, "not-implemented", "no such method") }
func errBadParams(why string) error {
	return fault.New(400, "bad-request", "%s", why)
}
func errGone() error { return fault.New(410, "gone", "the conference has ended") }
func errSuperseded() error {
	e := fault.New(503, "stale-epoch", "another node owns the conference now")
	e.RetryAfter = time.Second
	return e
}
func errNotFound() error { return fault.New(404, "not-found", "no such conference") }
func errNotJoined() error {
	return fault.New(481, "no-session", "this session is not in the conference")
}
func errForbidden() error { return fault.New(403, "forbidden", "not allowed in this role") }
func errNotModerator() error {
	return fault.New(403, "not-moderator", "only moderators do this to others")
}
func errNoSession() error {
	return fault.New(481, "no-session", "no such media session")
}
func errNoPart() error     { return fault.New(404, "not-found", "no such participant") }
func errOutranks() error   { return fault.New(403, "forbidden", "the other has a higher role") }
func errNoTrack() error    { return fault.New(404, "not-found", "no such track") }
func errTrackEnded() error { return fault.New(409, "conflict", "the track has ended") }
func errFull() error       { return fault.New(486, "full", "the conference is full") }
func errLocked() error     { return fault.New(423, "locked", "the conference is locked") }
func errDuplicate() error {
	return fault.New(409, "duplicate", "this device is in the conference already")
}
func errUnauthorised() error { return fault.New(401, "unauthenticated", "who are you") }

func errState(why string, rev uint32) error {
	e := fault.New(409, "bad-state", "%s", why)
	e.Data = map[string]any{"rev": rev}
	return e
}
