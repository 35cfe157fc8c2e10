package ice

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/sha1mac"
)

// ControllerConfig describes a controlling agent; zero times take the defaults.
type ControllerConfig struct {
	Local, Remote Creds
	Remotes       []Path        // where the peer may be; at most 8 are kept
	Interval      time.Duration // between checks until one succeeds (RFC 8445, section 14.2: Ta); 20 ms
	Consent       time.Duration // between checks afterwards, randomised 0.8..1.2 (RFC 7675, section 5.1); 5 s
	Disconnected  time.Duration
	Expire        time.Duration
	Priority      uint32   // of our candidate; default that of a host candidate
	Tiebreaker    uint64   // default drawn from Seed
	Seed          [32]byte // of transaction ids and jitter; from crypto/rand outside tests
}

const (
	maxRemotes = 8
	// maxPending bounds the checks we remember. A reply later than this many
	// checks is of no use; at 20 ms they span 320 ms.
	maxPending = 16
	// hostPriority is type preference 126, local preference 65535, component 1
	// (RFC 8445, section 5.1.2.1).
	hostPriority = 126<<24 | 65535<<8 | 255
)

type pending struct {
	tid tid
	to  Path
}

// Controller is a small controlling agent: it checks every remote path in turn,
// nominating with each check (RFC 8445 allows it toward a lite peer, section
// 8.1.1), takes the first that answers, and keeps consent fresh on it. It also
// answers the checks of a full peer.
type Controller struct {
	cfg       ControllerConfig
	rand      *rand.ChaCha8
	local     *generation // signs their checks to us
	remoteKey sha1mac.Key // signs ours to them
	username  []byte
	pending   [maxPending]pending
	sent      int
	turn      int
	selected  Path
	mapped    netip.AddrPort
	next      clock.Time
	heard     clock.Time
	buf       []byte

	connected, checking, disconnected, closed bool
}

// NewController makes a controlling agent; the first Tick sends the first check.
func NewController(now clock.Time, cfg ControllerConfig) *Controller {
	d := DefaultConfig()
	fill(&cfg.Interval, 20*time.Millisecond)
	fill(&cfg.Consent, 5*time.Second)
	fill(&cfg.Disconnected, d.Disconnected)
	fill(&cfg.Expire, d.Expire)
	c := &Controller{rand: rand.NewChaCha8(cfg.Seed)}
	if cfg.Priority == 0 {
		cfg.Priority = hostPriority
	}
	if cfg.Tiebreaker == 0 {
		cfg.Tiebreaker = c.rand.Uint64()
	}
	c.cfg = cfg
	c.Restart(now, cfg.Local, cfg.Remote, cfg.Remotes)
	return c
}

// Restart begins checks with new credentials. The selected path stays in use
// until a check with the new ones succeeds (RFC 8445, section 9).
func (c *Controller) Restart(now clock.Time, local, remote Creds, remotes []Path) {
	c.local = newGeneration(local, remote, 1)
	c.remoteKey.Init([]byte(remote.Pwd))
	c.username = []byte(remote.Ufrag + ":" + local.Ufrag)
	c.cfg.Remotes = nil
	for _, p := range remotes {
		c.addRemote(p)
	}
	c.pending = [maxPending]pending{}
	c.checking, c.next, c.heard = true, now, now
}

func (c *Controller) addRemote(p Path) {
	p = p.Normalize()
	for _, q := range c.cfg.Remotes {
		if p == q {
			return
		}
	}
	if len(c.cfg.Remotes) < maxRemotes {
		c.cfg.Remotes = append(c.cfg.Remotes, p)
	}
}

// Selected returns the path that answered.
func (c *Controller) Selected() (Path, bool) { return c.selected, c.connected && !c.closed }

// Mapped returns our address as the peer saw it last (XOR-MAPPED-ADDRESS).
func (c *Controller) Mapped() netip.AddrPort { return c.mapped }

// Tick sends what is due and reports silence. The bytes given to send are valid
// during the call. next is when to call again.
func (c *Controller) Tick(now clock.Time, send func(to Path, b []byte)) (ev Event, next clock.Time) {
	if c.closed {
		return Event{}, 0
	}
	ev.Path = c.selected
	silence := now.Sub(c.heard)
	if silence >= c.cfg.Expire {
		c.closed = true
		ev.Flags |= Expired
		return ev, 0
	}
	if silence >= c.cfg.Disconnected && c.connected && !c.disconnected {
		c.disconnected = true
		ev.Flags |= Disconnected
	}
	if !now.Before(c.next) {
		c.sendDue(now, send)
	}
	next = clock.Earliest(c.next, c.heard.Add(c.cfg.Expire))
	if c.connected && !c.disconnected {
		next = clock.Earliest(next, c.heard.Add(c.cfg.Disconnected))
	}
	return ev, next
}

// sendDue sends one check. The next is planned first, since the reply may come
// during send on a virtual wire.
func (c *Controller) sendDue(now clock.Time, send func(to Path, b []byte)) {
	if !c.checking {
		c.next = now.Add(c.consent())
		c.check(c.selected, send)
		return
	}
	c.next = now.Add(c.cfg.Interval)
	if n := len(c.cfg.Remotes); n > 0 {
		c.turn++
		c.check(c.cfg.Remotes[(c.turn-1)%n], send)
	}
}

// consent draws the time to the next consent check: 0.8 to 1.2 of the interval
// (RFC 7675, section 5.1), so that many clients do not march in step.
func (c *Controller) consent() time.Duration {
	jitter := float64(c.rand.Uint64()>>11) / (1 << 53)
	return time.Duration(float64(c.cfg.Consent) * (0.8 + 0.4*jitter))
}

func (c *Controller) check(to Path, send func(to Path, b []byte)) {
	p := &c.pending[c.sent%maxPending]
	c.sent++
	_, _ = c.rand.Read(p.tid[:]) // never fails
	p.to = to
	w := begin(c.buf[:0], typeRequest, p.tid)
	w.bytes(attrUsername, c.username)
	w.uint32(attrPriority, c.cfg.Priority)
	w.uint64(attrControlling, c.cfg.Tiebreaker)
	w.head(attrUseCandidate, 0)
	c.buf = w.finish(&c.remoteKey)
	send(to, c.buf)
}

// HandleSTUN takes one message: a response to our check, or a check of a full
// peer, whose reply is appended to reply.
func (c *Controller) HandleSTUN(now clock.Time, from Path, msg, reply []byte) (out []byte, ev Event) {
	from = from.Normalize()
	ev.Path = from
	var m message
	switch {
	case !from.Addr.IsValid() || !m.parse(msg):
		ev.Drop = DropMalformed
	case c.closed:
		ev.Drop = DropClosed
	case m.typ == typeSuccess || m.typ == typeError:
		ev.Flags, ev.Drop = c.response(now, from, msg, &m)
	case m.typ == typeRequest:
		return c.request(from, msg, &m, reply)
	default:
		ev.Drop = DropNotRequest
	}
	return nil, ev
}

// response matches a reply with a check of ours: by transaction, by the address
// it was sent to (RFC 8445, section 7.2.5.2.1), and by its integrity.
func (c *Controller) response(now clock.Time, from Path, msg []byte, m *message) (Flags, Drop) {
	i := c.match(m.tid, from)
	switch {
	case i < 0:
		return 0, DropNotRequest
	case m.fingerprint != 0 && !m.printed(msg):
		return 0, DropFingerprint
	case !m.authentic(msg, &c.remoteKey):
		return 0, DropIntegrity
	}
	c.pending[i] = pending{}
	if m.typ == typeError {
		return 0, DropRefused
	}
	if m.unknowns > 0 {
		return 0, DropUnknown
	}
	return c.succeed(now, from, m), DropNone
}

func (c *Controller) match(t tid, from Path) int {
	for i := range c.pending {
		if p := &c.pending[i]; p.to == from && p.tid == t && p.to.Addr.IsValid() {
			return i
		}
	}
	return -1
}

func (c *Controller) succeed(now clock.Time, from Path, m *message) (f Flags) {
	c.heard = now
	if m.mapped.IsValid() {
		c.mapped = m.mapped
	}
	if c.disconnected {
		c.disconnected = false
		f |= Reconnected
	}
	if !c.checking {
		return f
	}
	if !c.connected || c.selected != from {
		f |= Validated | Selected
	}
	c.checking, c.connected, c.selected = false, true, from
	c.next = now.Add(c.consent())
	return f
}

// request answers a full peer's check and learns where it is from it.
func (c *Controller) request(from Path, msg []byte, m *message, reply []byte) ([]byte, Event) {
	ev := Event{Path: from}
	local, remote, ok := splitUsername(m.username)
	switch {
	case !ok || !c.local.matches(local, remote):
		ev.Drop = DropUsername
	case !m.printed(msg):
		ev.Drop = DropFingerprint
	case !m.authentic(msg, &c.local.key):
		ev.Drop = DropIntegrity
	case m.unknowns > 0:
		ev.Drop = DropUnknown
		return failure(reply, m, codeUnknown, &c.local.key), ev
	case m.controlling:
		ev.Drop = DropRole
		return failure(reply, m, codeRoleConflict, &c.local.key), ev
	default:
		c.addRemote(from)
		return success(reply, m.tid, from.Addr, &c.local.key), ev
	}
	return nil, ev
}
