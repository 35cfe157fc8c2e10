package session

import (
	"log/slog"
	"net/netip"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/control"
)

// Authenticator says who a client is. The error is a *fault.Error: 401 with one
// text for every reason, or 429 after too many failures from one address.
type Authenticator interface {
	Authenticate(token, name string, addr netip.Addr) (control.Principal, error)
}

// Channel carries encoded frames to one client. Its methods must not block and
// must not call back into the session.
type Channel interface {
	// Send queues a frame; false when the queue is full or closed. The bytes
	// are shared and must not be changed.
	Send(frame []byte) bool
	// Close ends the channel with a WebSocket close code after what is queued.
	Close(code int, reason string)
}

// Config of a [Registry]. Zero fields take the defaults of [Defaults].
type Config struct {
	Port control.Port
	Auth Authenticator
	Now  func() clock.Time
	Log  *slog.Logger

	ICEServers []api.ICEServer
	Features   []string

	MaxSessions int           // on this node
	AdmitRate   int           // new sessions a second, in the long run
	AdmitBurst  int           // and at once
	Heartbeat   time.Duration // each side pings this often
	Grace       time.Duration // a suspended session lives this long
	RequestTTL  time.Duration // when the request names none
	MaxTTL      time.Duration // whatever the request names
	Remember    time.Duration // answered requests
	RememberIDs int
	Limits      api.Limits
}

// Limits every surface cites (docs/protocol.md, "Limits").
const (
	maxReplayFrames = 1000
	// maxReplayBytes is below a channel's queue of 1 MiB, so that a whole
	// replay fits in a fresh queue.
	maxReplayBytes = 768 << 10
	// maxRemembered bounds the stored answers of one session in bytes: answers
	// to offers hold SDP, and 1,024 of them would be tens of megabytes.
	maxRemembered = 1 << 20
	// overFor is how long a client may stay above the rate before it is put out.
	overFor = 5 * time.Second
	// missed heartbeats before a channel counts as lost.
	missed = 2
	// slack for a heartbeat on its way; scenario R2 wants loss noticed in 10 s.
	slack = time.Second
	// tickEvery is the driver's step: the error of every deadline here.
	tickEvery = 250 * time.Millisecond
)

// Close codes of our own (RFC 6455, section 7.4.2: 4000-4999 are private).
const (
	CloseNormal          = 1000
	CloseRestart         = 1012
	ClosePolicy          = 1008
	CloseUnauthenticated = 4401
	CloseReplaced        = 4409
	CloseRateLimited     = 4429
	CloseNoSession       = 4481
	CloseOverloaded      = 4503
	CloseVersion         = 4505
)

// Version is the protocol version spoken.
const Version = 1

// Defaults returns the limits of docs/protocol.md.
func Defaults() Config {
	return Config{
		MaxSessions: 20000,
		// A session and its join cost a core about a millisecond; 200 a second
		// leave the media of those who are in alone. The burst is a large lesson.
		AdmitRate:   200,
		AdmitBurst:  1000,
		Heartbeat:   4 * time.Second,
		Grace:       30 * time.Second,
		RequestTTL:  15 * time.Second,
		MaxTTL:      2 * time.Minute,
		Remember:    10 * time.Minute,
		RememberIDs: 1024,
		Limits: api.Limits{
			Frame: 256 << 10, SDP: 128 << 10, Sections: 256, Chat: 8 << 10, OpenRequests: 64,
			Rate: 50, Burst: 100, Candidates: 32, Subscriptions: 200, Tracks: 25,
		},
	}
}

func (c Config) withDefaults() Config {
	d := Defaults()
	setInt(&c.MaxSessions, d.MaxSessions)
	setInt(&c.AdmitRate, d.AdmitRate)
	setInt(&c.AdmitBurst, d.AdmitBurst)
	setInt(&c.RememberIDs, d.RememberIDs)
	setInt(&c.Heartbeat, d.Heartbeat)
	setInt(&c.Grace, d.Grace)
	setInt(&c.RequestTTL, d.RequestTTL)
	setInt(&c.MaxTTL, d.MaxTTL)
	setInt(&c.Remember, d.Remember)
	if c.Limits == (api.Limits{}) {
		c.Limits = d.Limits
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setInt[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
