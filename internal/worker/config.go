package worker

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/media/trace"
	"parley/internal/transport/dtls"
	"parley/internal/transport/udp"
)

// Clock is the time source of the shards; *clock.System in production.
type Clock interface {
	Now() clock.Time
	Anchor() clock.Anchor
}

// Caps bounds what strangers may cost. A half-open link is one whose DTLS
// handshake is not done.
type Caps struct {
	HalfOpenPerAddr    int           // per signalling address without a token
	HalfOpenPerTrusted int           // per signalling address with a token
	HalfOpenTotal      int           // per node
	JoinTimeout        time.Duration // a half-open link is freed after this
	// LinksPerShard is how many links of one conference its home shard takes
	// before further ones spill to the least loaded shard. A shard forwards
	// several hundred thousand packets a second, so this is high.
	LinksPerShard int
	MaxLinks      int // per node, all states
	Mailbox       int // commands waiting for one shard; more is answered 503
}

// DefaultCaps are the figures of the specification (scenario D12).
func DefaultCaps() Caps {
	return Caps{
		HalfOpenPerAddr: 20, HalfOpenPerTrusted: 200, HalfOpenTotal: 500, JoinTimeout: 15 * time.Second,
		LinksPerShard: 200, MaxLinks: 10000, Mailbox: 1 << 16,
	}
}

// Config is what a Pool is made from.
type Config struct {
	// UDP is the address of shard 0; shard i uses Port+i. Port 0 gives each shard
	// a port of its own choice (tests). An unspecified address listens on all.
	UDP     netip.AddrPort
	Workers int // shards; 0 means 1
	// Advertise lists the addresses written into candidates, IPv4 and IPv6. Empty:
	// UDP's address. Must not hold unspecified addresses.
	Advertise []netip.Addr
	// TCP are listeners for ICE-TCP (RFC 6544, passive); the pool serves and closes
	// them. Empty: no TCP candidates.
	TCP []net.Listener
	// TCPPort is announced in TCP candidates when it differs from the listeners'
	// port. 0: the first listener's own.
	TCPPort  uint16
	RTPPorts PortRange
	Socket   udp.Config
	Identity *dtls.Identity // certificate of this node, one for all links
	Caps     Caps           // zero fields take the defaults
	Sink     plane.Sink     // required
	Clock    Clock          // nil: the system's
	Logger   *slog.Logger   // nil: discards
	// NewEngine makes each shard's engine; nil: engine.New. Tests put in their own.
	NewEngine func(engine.Config) engine.API
	// Trace makes the sink of a new connection's trace, or returns nil; called by
	// shards, must return at once. nil: nothing is traced.
	Trace func(ids.Connection) trace.Sink
}

// PortRange is the ports of plain RTP sessions, two each, on UDP's address. The
// zero value has none.
type PortRange struct{ Low, High uint16 }

// Validate reports the first reason why c cannot work.
func (c *Config) Validate() error {
	switch {
	case !c.UDP.Addr().IsValid():
		return fault.New(500, "bad-config", "worker: no UDP address")
	case c.Workers < 0 || c.Workers > 256:
		return fault.New(500, "bad-config", "worker: %d workers", c.Workers)
	case c.UDP.Port() != 0 && int(c.UDP.Port())+c.Workers > 65536:
		return fault.New(500, "bad-config", "worker: port %d and %d workers leave the port range", c.UDP.Port(), c.Workers)
	case c.Identity == nil:
		return fault.New(500, "bad-config", "worker: no certificate")
	case c.Sink == nil:
		return fault.New(500, "bad-config", "worker: no sink for events")
	case c.UDP.Addr().IsUnspecified() && len(c.Advertise) == 0:
		return fault.New(500, "bad-config", "worker: an unspecified UDP address needs addresses to advertise")
	}
	for _, a := range c.Advertise {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return fault.New(500, "bad-config", "worker: %s cannot be advertised", a)
		}
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.Workers == 0 {
		c.Workers = 1
	}
	d := DefaultCaps()
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&c.Caps.HalfOpenPerAddr, d.HalfOpenPerAddr)
	setInt(&c.Caps.HalfOpenPerTrusted, d.HalfOpenPerTrusted)
	setInt(&c.Caps.HalfOpenTotal, d.HalfOpenTotal)
	setInt(&c.Caps.LinksPerShard, d.LinksPerShard)
	setInt(&c.Caps.MaxLinks, d.MaxLinks)
	setInt(&c.Caps.Mailbox, d.Mailbox)
	if c.Caps.JoinTimeout == 0 {
		c.Caps.JoinTimeout = d.JoinTimeout
	}
	c.Socket.ECN = true    // RFC 8888 tells publishers
	c.Socket.Stamps = true // so that they hear of the path, and not of a busy shard
	c.Socket.Aside = true
	if c.Clock == nil {
		c.Clock = clock.NewSystem()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NewEngine == nil {
		c.NewEngine = newEngine
	}
	if len(c.Advertise) == 0 {
		c.Advertise = []netip.Addr{c.UDP.Addr()}
	}
}

func newEngine(c engine.Config) engine.API { return engine.New(c) }
