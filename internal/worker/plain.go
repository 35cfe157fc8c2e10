package worker

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/transport/plain"
	"parley/internal/transport/srtp"
)

var (
	_ plane.Wires  = (*Pool)(nil)
	_ plane.Keypad = (*Pool)(nil)
)

const (
	// plainQueue bounds the packets that wait for a shard on one plain session: a
	// second of a large picture. A flood on one port costs that session only.
	plainQueue = 512
	// plainSilence is how long a session may bring nothing at all until it is told
	// to be silent; as long as a member lives (rule C4). It is not ended by that.
	plainSilence = 25 * time.Second
	// plainBye is the same after a BYE: a phone that only changed its SSRC is back.
	plainBye = 2 * time.Second
	// keyPatience ends a key whose last packets were all lost.
	keyPatience = 500 * time.Millisecond
)

// wires is the pool's part for links that have sockets of their own.
type wires struct {
	ports *plain.Range
}

// plainLink is one plain RTP session. All fields above mu belong to the shard.
type plainLink struct {
	w      *Worker
	leg    graph.LegID
	take   command // of this link, made once
	pair   plain.Sockets
	path   plain.Path
	sealer *srtp.Sender
	recv   *srtp.Receiver

	expected [2]uint64 // payload types the peer may send, as a bit set
	events   [128]uint32
	anyEvent bool
	receives bool // the peer is to send
	feedback bool // AVPF: RTCP types 205 and 206 may be sent
	keypad   rtp.Keypad
	keyAt    clock.Time
	tones    plain.Tones
	heard    clock.Time // last valid packet of the peer
	bye      bool
	silent   bool
	buf      []byte
	sealed   []byte
	count    plainCounts
	group    *groupPart // nil: unicast

	mu     sync.Mutex
	queue  []arrival // guarded by mu
	closed bool      // guarded by mu
	lost   uint64    // guarded by mu
	work   []arrival // the shard's; swapped with queue
}

// plainCounts are a session's own counters.
type plainCounts struct {
	in, out, bytesIn, bytesOut          uint64
	foreign, malformed, unexpected, bad uint64
}

// arrival is one datagram on its way to the shard.
type arrival struct {
	buf  *ring.Buf
	from netip.AddrPort
	rtcp bool
}

// OpenRTP makes a plain RTP session. See plane.Wires.
func (p *Pool) OpenRTP(o plane.OpenRTP) (plane.LocalRTP, error) {
	l := &plainLink{path: plain.NewPath(o.Remote, o.RTCP, o.Mux, p.latch(&o))}
	l.take = l.deliver
	if err := l.key(o.SDES); err != nil {
		return plane.LocalRTP{}, err
	}
	local, err := p.openSockets(l, &o)
	if err != nil {
		return plane.LocalRTP{}, err
	}
	if err := p.enterPlain(l, &o); err != nil {
		l.pair.Close()
		return plane.LocalRTP{}, err
	}
	if err := l.pair.Start(l.arrived); err != nil {
		p.Close(o.Conn, "no reader")
		return plane.LocalRTP{}, fault.New(500, "server-error", "no RTP socket: %s", err)
	}
	return local, nil
}

// latch says who may become the peer. A private address may be near us when we
// announce such a one ourselves.
func (p *Pool) latch(o *plane.OpenRTP) plain.Latch {
	switch {
	case o.Anywhere:
		return plain.LatchAny
	case !o.Latch:
		return plain.LatchHost
	case slices.ContainsFunc(p.cfg.Advertise, plain.Inner):
		return plain.LatchPort
	}
	return plain.LatchNAT
}

// openSockets binds what the session needs and tells what to announce.
func (p *Pool) openSockets(l *plainLink, o *plane.OpenRTP) (plane.LocalRTP, error) {
	if o.Group != nil {
		return p.openGroup(l, o)
	}
	pair, err := p.wires.ports.Open(p.cfg.UDP.Addr(), o.Mux)
	if errors.Is(err, plain.ErrNoPorts) {
		return plane.LocalRTP{}, &fault.Error{Code: 503, Reason: "no-ports", Message: "all RTP ports are in use", RetryAfter: retrySoon}
	}
	if err != nil {
		return plane.LocalRTP{}, fault.New(500, "server-error", "no RTP socket: %s", err)
	}
	l.pair = pair
	addr := p.announced(o.Remote.Addr())
	local := plane.LocalRTP{RTP: netip.AddrPortFrom(addr, pair.Port())}
	local.RTCP = local.RTP
	if !o.Mux {
		local.RTCP = netip.AddrPortFrom(addr, pair.Port()+1)
	}
	return local, nil
}

// announced picks the advertised address of the peer's family.
func (p *Pool) announced(peer netip.Addr) netip.Addr {
	for _, a := range p.cfg.Advertise {
		if a.Is4() == peer.Is4() || !peer.IsValid() {
			return a
		}
	}
	return p.cfg.Advertise[0]
}

// enterPlain writes the link into the books and opens its leg.
func (p *Pool) enterPlain(l *plainLink, o *plane.OpenRTP) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.enterLocked(o.Conf, o.Conn)
	if err != nil {
		return err
	}
	w := p.shards[e.shard]
	l.w, l.leg = w, e.leg
	cfg := engine.LegConfig{Leg: e.leg, Conf: o.Conf, Conn: o.Conn}
	w.mail.post(func(now clock.Time) {
		cfg.Trace = w.traceOf(cfg.Conn)
		l.heard = now
		w.openCarried(now, cfg, l)
		w.tell(w.leg(cfg.Leg), plane.LinkConnected, "")
	})
	return nil
}

// key makes the SRTP contexts of a=crypto (RFC 4568).
func (l *plainLink) key(s *plane.SDES) error {
	if s == nil {
		return nil
	}
	prof := srtp.AES128CMHMACSHA180
	switch s.Suite {
	case "AES_CM_128_HMAC_SHA1_80":
	case "AEAD_AES_128_GCM":
		prof = srtp.AEADAES128GCM
	default:
		return fault.New(488, "bad-sdp", "unknown crypto suite")
	}
	n, m := prof.KeyLen(), prof.KeyLen()+prof.SaltLen()
	local, remote := []byte(s.Local.Reveal()), []byte(s.Remote.Reveal())
	if len(local) != m || len(remote) != m {
		return fault.New(400, "bad-sdp", "the key of a=crypto has not the suite's length")
	}
	var err error
	if l.sealer, err = srtp.NewSender(prof, local[:n], local[n:]); err != nil {
		return err
	}
	l.recv, err = srtp.NewReceiver(prof, remote[:n], remote[n:])
	return err
}

// RetargetRTP changes where a plain session sends. See plane.Wires.
func (p *Pool) RetargetRTP(conn ids.Connection, remote, remoteRTCP netip.AddrPort) error {
	return p.onPlain(conn, func(l *plainLink) { l.path.Retarget(remote, remoteRTCP) })
}

// onPlain runs f with a plain session on its shard.
func (p *Pool) onPlain(conn ids.Connection, f func(l *plainLink)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[conn]
	if e == nil {
		return unknownConnection()
	}
	if err := p.readyLocked(e.shard); err != nil {
		return err
	}
	w := p.shards[e.shard]
	w.mail.post(func(clock.Time) {
		if l, ok := w.carrierOf(e.leg).(*plainLink); ok {
			f(l)
		}
	})
	return nil
}

func (w *Worker) carrierOf(id graph.LegID) carrier {
	if l := w.leg(id); l != nil {
		return l.carrier
	}
	return nil
}

// PressKeys sends telephone events. See plane.Keypad.
func (p *Pool) PressKeys(conn ids.Connection, keys string, each time.Duration) error {
	got := make(chan error, 1)
	err := p.onPlain(conn, func(l *plainLink) { got <- l.press(keys, each) })
	if err != nil {
		return err
	}
	p.mu.Lock()
	e := p.links[conn]
	p.mu.Unlock()
	if e == nil {
		return unknownConnection()
	}
	select {
	case err = <-got:
		return err
	case <-p.shards[e.shard].done:
	case <-time.After(snapshotPatience):
	}
	return &fault.Error{Code: 503, Reason: "overloaded", Message: "media worker is behind", RetryAfter: retrySoon}
}

func (l *plainLink) press(keys string, each time.Duration) error {
	if l.tones.Clock == 0 || l.tones.SSRC == 0 {
		return fault.New(409, "no-telephone-event", "the peer does not take telephone events")
	}
	for i := range len(keys) {
		code, ok := rtp.KeyCode(keys[i])
		if !ok {
			return fault.New(400, "bad-request", "keys are 0-9 * # A-D !")
		}
		if !l.tones.Press(code, each) {
			return fault.New(429, "too-many", "too many keys wait")
		}
	}
	l.w.timers.want(l.leg, l.w.cfg.Clock.Now())
	return nil
}

// configured takes over what was negotiated.
func (l *plainLink) configured(now clock.Time, m plane.LegMedia) {
	if l.group != nil {
		l.configuredGroup(now, m)
	}
	l.expected, l.events, l.anyEvent, l.receives = [2]uint64{}, [128]uint32{}, false, false
	l.tones.SSRC, l.tones.Clock = 0, 0
	for i := range m.Sections {
		s := &m.Sections[i]
		if s.Recv != nil {
			l.receives = true
			l.expect(s.Recv.Codecs)
		}
		if s.Send != nil {
			l.tones.SSRC = s.Send.SSRC
			for _, c := range s.Send.Codecs {
				if c.Name == plane.TelephoneEvent && c.PT < 128 && c.ClockRate == s.Send.Codecs[0].ClockRate { // RFC 4733, section 2.1
					l.tones.PT, l.tones.Clock = c.PT, c.ClockRate
				}
				l.feedback = l.feedback || c.NACK || c.PLI || c.FIR || c.TWCC || c.REMB
			}
		}
	}
}

func (l *plainLink) expect(list []plane.Codec) {
	for _, c := range list {
		l.feedback = l.feedback || c.NACK || c.PLI || c.FIR || c.TWCC || c.REMB
		for _, pt := range [2]uint8{c.PT, c.RTX} {
			if pt < 128 && (pt == c.PT || pt != 0) {
				l.expected[pt>>6] |= 1 << (pt & 63)
			}
		}
		if c.Name == plane.TelephoneEvent && c.PT < 128 {
			l.events[c.PT], l.anyEvent = c.ClockRate, true
		}
	}
}
