package ice

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/sha1mac"
)

// Config are the times and bounds of an agent; zero fields take the defaults.
type Config struct {
	// Disconnected is the silence after which a link is reported disconnected:
	// two consent checks (RFC 7675: 5 s apart) may be lost.
	Disconnected time.Duration
	// Expire is the silence after which we must stop sending (RFC 7675, section 5.1).
	Expire time.Duration
	// Stale is how long the selected path must be without a check before a
	// nominated path of lower priority replaces it. Shorter follows a dead
	// interface sooner; below a client's check interval while it still checks
	// many pairs it makes the path flap.
	Stale time.Duration
	// Follow is how long authenticated media must come on another nominated
	// path before we follow it; longer than packets in flight on the old one.
	Follow time.Duration
	// MaxPaths bounds the paths kept (scenario D10's kind of abuse).
	MaxPaths int
}

// DefaultConfig returns the values of the reference configuration.
func DefaultConfig() Config {
	return Config{
		Disconnected: 10 * time.Second, Expire: 30 * time.Second,
		Stale: time.Second, Follow: 100 * time.Millisecond, MaxPaths: 8,
	}
}

// Fill puts the defaults in zero fields.
func (c *Config) Fill() {
	d := DefaultConfig()
	fill(&c.Disconnected, d.Disconnected)
	fill(&c.Expire, d.Expire)
	fill(&c.Stale, d.Stale)
	fill(&c.Follow, d.Follow)
	fill(&c.MaxPaths, d.MaxPaths)
	c.MaxPaths = max(c.MaxPaths, 2) // the selected one and the one that may replace it
}

func fill[T time.Duration | int](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// generation is one offer/answer's credentials (RFC 8445, section 9).
type generation struct {
	local, remote Creds
	key           sha1mac.Key // of the local password, which signs checks to us and our replies
	n             uint32
}

func newGeneration(local, remote Creds, n uint32) *generation {
	g := &generation{local: local, remote: remote, n: n}
	g.key.Init([]byte(local.Pwd))
	return g
}

// matches compares USERNAME with ours:theirs. While the remote ufrag is not
// known yet (its description is still under way) any is taken.
func (g *generation) matches(local, remote []byte) bool {
	return string(local) == g.local.Ufrag && (g.remote.Ufrag == "" || string(remote) == g.remote.Ufrag)
}

// path is what we know of one path.
type path struct {
	Path
	made      clock.Time // first authenticated check
	seen      clock.Time // latest
	nominated clock.Time // latest with USE-CANDIDATE; 0 never
	priority  uint32
	gen       uint32
}

// Agent is the lite side of one link.
type Agent struct {
	cfg        Config
	cur        *generation
	old        *generation // until cur is first used
	paths      []path
	selected   int // index in paths, -1 none
	heard      clock.Time
	nomination uint32 // highest renomination seen

	rival      Path // another nominated path with traffic, and since when
	rivalSince clock.Time

	connected, disconnected, closed bool
}

// NewAgent makes an agent that answers checks signed with local's password.
// remote may be empty until it is known; see SetRemote.
func NewAgent(now clock.Time, local, remote Creds) *Agent {
	return NewAgentWith(now, Config{}, local, remote)
}

// NewAgentWith is NewAgent with times and bounds.
func NewAgentWith(now clock.Time, cfg Config, local, remote Creds) *Agent {
	cfg.Fill()
	return &Agent{cfg: cfg, cur: newGeneration(local, remote, 1), selected: -1, heard: now}
}

// SetRemote gives the peer's credentials of the current generation.
func (a *Agent) SetRemote(remote Creds) { a.cur.remote = remote }

// Local returns our credentials of the current generation.
func (a *Agent) Local() Creds { return a.cur.local }

// OldUfrag returns the local ufrag that a restart will replace at the first
// check with the new one; "" when no restart is pending.
func (a *Agent) OldUfrag() string {
	if a.old == nil {
		return ""
	}
	return a.old.local.Ufrag
}

// Restart gives new credentials (RFC 8445, section 9). The old ones are
// answered until a check with the new ones arrives, and paths stay up until
// one of the new generation is nominated: make before break (scenario R4). A
// restart on top of an unused one replaces it; the ufrag to forget then is the
// returned one, otherwise "".
func (a *Agent) Restart(local, remote Creds) (forget string) {
	if a.old == nil {
		a.old = a.cur
	} else {
		forget = a.cur.local.Ufrag
	}
	a.cur = newGeneration(local, remote, a.cur.n+1)
	return forget
}

// HandleSTUN takes one message and appends a reply, if one is due, to reply;
// out is nil when the answer is silence. Only a request that authenticates is
// ever answered (scenario D6).
func (a *Agent) HandleSTUN(now clock.Time, from Path, msg, reply []byte) (out []byte, ev Event) {
	from = from.Normalize()
	var m message
	if !from.Addr.IsValid() {
		return nil, Event{Drop: DropMalformed, Path: from}
	}
	g, drop := a.admit(msg, &m)
	if drop != DropNone {
		return nil, Event{Drop: drop, Path: from}
	}
	if m.unknowns > 0 {
		return failure(reply, &m, codeUnknown, &g.key), Event{Drop: DropUnknown, Path: from}
	}
	if m.controlled {
		// We are lite, hence always controlled; the peer has to switch (RFC 8445, section 6.1.1).
		return failure(reply, &m, codeRoleConflict, &g.key), Event{Drop: DropRole, Path: from}
	}
	flags := a.check(now, from, g, &m)
	return success(reply, m.tid, from.Addr, &g.key), Event{Flags: flags, Path: from}
}

// admit reads and authenticates a request, cheapest test first: a forged check
// with the right ufrag costs one CRC and one HMAC (scenario D5).
func (a *Agent) admit(msg []byte, m *message) (*generation, Drop) {
	if !m.parse(msg) {
		return nil, DropMalformed
	}
	if m.typ != typeRequest {
		return nil, DropNotRequest
	}
	if a.closed {
		return nil, DropClosed
	}
	g := a.generationOf(m)
	if g == nil {
		return nil, DropUsername
	}
	if !m.printed(msg) {
		return nil, DropFingerprint
	}
	if !m.authentic(msg, &g.key) {
		return nil, DropIntegrity
	}
	return g, DropNone
}

func (a *Agent) generationOf(m *message) *generation {
	local, remote, ok := splitUsername(m.username)
	switch {
	case !ok:
		return nil
	case a.cur.matches(local, remote):
		return a.cur
	case a.old != nil && a.old.matches(local, remote):
		return a.old
	}
	return nil
}

// check applies an authenticated check.
func (a *Agent) check(now clock.Time, from Path, g *generation, m *message) (f Flags) {
	a.connected = true
	f |= a.hear(now)
	if g == a.cur && a.old != nil {
		a.old = nil
		f |= Restarted
	}
	i := a.find(from)
	if i < 0 {
		i = a.add(now, from)
		f |= Validated
	}
	p := &a.paths[i]
	p.seen, p.gen = now, g.n
	if m.priority != 0 {
		p.priority = m.priority
	}
	if m.useCandidate {
		p.nominated = now
	}
	if a.prefers(now, i, m) {
		f |= a.becomeSelected(i)
	}
	return f
}

func (a *Agent) hear(now clock.Time) (f Flags) {
	a.heard = now
	if a.disconnected {
		a.disconnected = false
		f = Reconnected
	}
	return f
}

// Tick reports silence. next is when to call again.
func (a *Agent) Tick(now clock.Time) (ev Event, next clock.Time) {
	if a.closed {
		return Event{}, 0
	}
	if p, ok := a.Selected(); ok {
		ev.Path = p
	}
	switch silence := now.Sub(a.heard); {
	case silence >= a.cfg.Expire:
		a.closed = true
		ev.Flags |= Expired
		return ev, 0
	case silence >= a.cfg.Disconnected:
		if a.connected && !a.disconnected {
			a.disconnected = true
			ev.Flags |= Disconnected
		}
		return ev, a.heard.Add(a.cfg.Expire)
	}
	a.prune(now)
	return ev, a.heard.Add(a.cfg.Disconnected)
}
