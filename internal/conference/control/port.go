package control

import (
	"net/netip"

	"parley/api"
	"parley/internal/base/ids"
)

// Principal is who the authenticated session says it is; never taken from a message.
type Principal struct {
	Subject string   // user URI, unique identity ("sip:…", "guest:…")
	Name    string   // display name proposed by token or, for guests, by the person
	Role    api.Role // highest role the token grants in Room
	Room    string   // conference URI the token is for; empty: any
	Service bool     // service key (admin API)
	Trusted bool     // came with a token or owner right (not an anonymous --dev guest)
	Limits  Limits   // rights the token withholds; zero: all of the role
}

// Limits are rights that a token withholds though the role would have them.
type Limits struct {
	NoPublish bool // microphone and camera
	NoScreen  bool // screen and its sound
	NoChat    bool
}

// withhold reports whether a source may not be published.
func (l Limits) withhold(source string) bool {
	if source == "screen" || source == "screenAudio" {
		return l.NoScreen
	}
	return l.NoPublish
}

// Caller is the source of a request: one signalling session.
type Caller struct {
	Session ids.Session
	By      Principal
	Dialect string     // "ws", "whip", "whep", "sip", "api"
	Addr    netip.Addr // signalling peer, for limits
}

// Sink is a session as the focus sees it. Calls come from the conference's loop
// and must return at once.
type Sink interface {
	Notify(*api.Notify)
	Message(*api.Message)
	// Goodbye ends the session from the server's side.
	Goodbye(api.Goodbye)
}

// Port is the running conferences as signalling sees them; implemented by focus.
// Safe for concurrent use. Requests of one session start in order of the calls.
type Port interface {
	// Attach makes a session known before its first request.
	Attach(Caller, Sink)
	// Do runs one request; reply is called from the conference's loop, zero or
	// more times with Final false and then exactly once with Final true.
	Do(c Caller, req *api.Request, reply func(*api.Response))
	// Subscribe starts, refreshes or (ExpiresS 0) ends a subscription; the first
	// Notify with the full document follows the final response.
	Subscribe(c Caller, s *api.Subscribe, reply func(*api.Response))
	// Message handles chat, presence and the like; nothing is answered.
	Message(Caller, *api.Message)
	// Suspended tells that the session lost its channel (reachability), Resumed
	// that it is back, Closed that it ended (grace over or goodbye).
	Suspended(ids.Session)
	Resumed(ids.Session, Sink)
	Closed(ids.Session, string)
}
