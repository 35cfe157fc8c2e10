package link

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/sctp"
	"parley/internal/transport/srtp"
)

// State is where a link is in its life.
type State uint8

// The states, in the order of a life without trouble.
const (
	StateNew          State = iota // no authenticated check yet
	StateChecking                  // a path is known; DTLS is on its way
	StateConnected                 // keys exist, media may flow
	StateDisconnected              // keys exist, nothing heard for a while; may come back
	StateFailed                    // gave up; see Reason
	StateClosed                    // ended by us
)

var stateNames = [...]string{"new", "checking", "connected", "disconnected", "failed", "closed"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

// Over reports whether nothing will come of the link any more.
func (s State) Over() bool { return s >= StateFailed }

// Reasons of StateFailed.
const (
	ReasonTimeout     = "join-timeout"      // not connected within JoinTimeout
	ReasonFingerprint = "wrong-certificate" // not the one the description promised
	ReasonHandshake   = "handshake-failed"
	ReasonConsent     = "consent-expired" // RFC 7675
	ReasonBusy        = "busy"            // no room for one more handshake
	ReasonPeer        = "closed-by-peer"
)

// Config is what a link is made from. The functions but Post are called on the
// shard's goroutine only.
type Config struct {
	Local, Remote ice.Creds
	Fingerprints  []dtls.Fingerprint
	Identity      *dtls.Identity
	Handshakes    *dtls.Pool
	DTLSClient    bool
	Data          *DataConfig // nil: no data channels; DTLS is dropped after the handshake
	JoinTimeout   time.Duration
	Host          Host
	Shared        *Shared
}

// Host is the shard as its links see it.
type Host interface {
	// Post runs f on the shard's goroutine, later; false once the shard stopped.
	// Safe for concurrent use, unlike the others.
	Post(f func(now clock.Time)) bool
	// Transmit sends one datagram; it copies b.
	Transmit(to ice.Path, b []byte)
	// Claim gives the link an address that an authenticated check came from;
	// false when another live link holds it.
	Claim(now clock.Time, l *Link, from ice.Path) bool
	// Changed tells that a link changed its state.
	Changed(now clock.Time, l *Link)
	// ForgetUfrag ends a local user fragment after an ICE restart.
	ForgetUfrag(l *Link, ufrag string)
}

// Link is one peer. See the package comment.
type Link struct {
	// Leg is the shard's number for this link; the link only carries it.
	Leg uint32

	cfg                 Config
	agent               *ice.Agent
	dtls                *dtls.Conn // nil before the first validated path and after the end
	send                *srtp.Sender
	recv                *srtp.Receiver
	profile             string
	rtpExtra, rtcpExtra int
	state               State
	reason              string
	born                clock.Time
	noted               clock.Time // when the agent last heard of traffic on the selected path
	path                ice.Path   // where media goes; invalid address: nowhere
	last                ice.Path   // where the goodbye goes once the link is over
	old                 string     // local user fragment that a restart is replacing
	data                *sctp.Association
	Traffic
}

// Traffic is counted per link for statistics.
type Traffic struct {
	PacketsIn, PacketsOut, BytesIn, BytesOut uint64
}

// Result is what a datagram was.
type Result uint8

// Results of HandleDatagram.
const (
	Nothing Result = iota // dropped and counted, or dealt with
	RTP                   // the plaintext is in the buffer
	RTCP                  // the plaintext is in the buffer
)

// New makes a link that waits for checks. It costs a few hundred bytes until
// the first authenticated one.
func New(now clock.Time, leg uint32, cfg Config) *Link {
	return &Link{Leg: leg, cfg: cfg, agent: ice.NewAgent(now, cfg.Local, cfg.Remote), born: now}
}

// State returns where the link is, and why if it failed or was closed.
func (l *Link) State() (State, string) { return l.state, l.reason }

// Path returns where the peer is reached; false while there is no such place.
func (l *Link) Path() (ice.Path, bool) { return l.path, l.path.Addr.IsValid() }

// CanSend reports whether media may go out now.
func (l *Link) CanSend() bool { return l.send != nil && l.path.Addr.IsValid() }

// Profile returns the SRTP protection profile's name, "" before keys.
func (l *Link) Profile() string { return l.profile }

// Ufrags returns the local user fragments that checks may carry now.
func (l *Link) Ufrags() []string {
	u := []string{l.agent.Local().Ufrag}
	if old := l.agent.OldUfrag(); old != "" {
		u = append(u, old)
	}
	return u
}

// becomeState is the only place that assigns a state.
func (l *Link) becomeState(now clock.Time, s State, reason string) {
	if l.state == s || l.state.Over() {
		return
	}
	l.state, l.reason = s, reason
	if s.Over() {
		l.last, l.path = l.path, ice.Path{}
		if reason == ReasonConsent {
			l.last = ice.Path{} // RFC 7675, section 5.1: nothing more to that address
		}
	}
	l.cfg.Host.Changed(now, l)
}

// Tick does what time asks for and returns when to call again; zero for a link
// that is over.
func (l *Link) Tick(now clock.Time) clock.Time {
	if l.state.Over() {
		return 0
	}
	deadline := l.born.Add(l.cfg.JoinTimeout)
	if l.send == nil && now >= deadline {
		l.cfg.Shared.JoinTimeouts++
		l.fail(now, ReasonTimeout)
		return 0
	}
	ev, next := l.agent.Tick(now)
	l.apply(now, ev)
	if l.state.Over() {
		return 0
	}
	if l.send == nil {
		next = clock.Earliest(next, deadline)
	}
	return next
}

// Restart puts new ICE credentials beside the present ones (RFC 8445, section 9).
func (l *Link) Restart(local, remote ice.Creds) {
	if forget := l.agent.Restart(local, remote); forget != "" {
		l.cfg.Host.ForgetUfrag(l, forget)
	}
	l.old = l.agent.OldUfrag()
}

// Lost drops a path that can carry nothing any more: a TCP connection closed.
func (l *Link) Lost(now clock.Time, p ice.Path) { l.apply(now, l.agent.Forget(p)) }

// apply carries out what the agent says has changed.
func (l *Link) apply(now clock.Time, ev ice.Event) {
	switch {
	case ev.Flags == 0:
		return
	case ev.Has(ice.Expired):
		l.fail(now, ReasonConsent)
		return
	}
	if ev.Has(ice.Selected) {
		l.path, _ = l.agent.Selected()
		l.cfg.Shared.PathChanges++
	}
	switch {
	case ev.Has(ice.Disconnected) && l.state == StateConnected:
		l.becomeState(now, StateDisconnected, "")
	case ev.Has(ice.Reconnected) && l.state == StateDisconnected:
		l.becomeState(now, StateConnected, "")
	}
}

// fail ends the link by itself; the owner hears of it through Changed and then
// calls Close, which frees what is left.
func (l *Link) fail(now clock.Time, reason string) {
	l.becomeState(now, StateFailed, reason)
	l.release()
}

// Close ends the link: close_notify if there are DTLS keys, contexts freed.
// Whatever is still to be sent must be sealed before.
func (l *Link) Close(now clock.Time, reason string) {
	l.becomeState(now, StateClosed, reason)
	l.release()
}

// release frees everything but the counters; the DTLS close_notify leaves
// through the mailbox.
func (l *Link) release() {
	if l.data != nil {
		l.data.Close()
		l.data = nil
	}
	if l.dtls != nil {
		d := l.dtls
		l.dtls = nil
		d.Close()
	}
	l.send, l.recv = nil, nil
}
