package worker

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/transport/ice"
)

// retrySoon is when a refused caller may ask a busy node again.
const retrySoon = 2 * time.Second

func unknownConnection() error {
	return fault.New(404, "no-such-connection", "unknown connection")
}

// Open makes a link. See plane.Plane.
func (p *Pool) Open(o plane.Open) (plane.Local, error) {
	if o.Conn == "" || o.Conf == "" || len(o.Fingerprints) == 0 || o.Remote.Ufrag == "" || o.Remote.Pwd == "" {
		return plane.Local{}, fault.New(400, "bad-sdp", "a link needs ICE credentials and a fingerprint")
	}
	creds := ice.NewCreds()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[o.Conn] != nil {
		return plane.Local{}, fault.New(409, "connection-exists", "connection is already open")
	}
	c := p.confLocked(o.Conf)
	shard := p.placeLocked(c)
	if err := p.admitLocked(o, shard); err != nil {
		p.dropConfLocked(c)
		return plane.Local{}, err
	}
	e := p.recordLocked(c, o.Conn, shard)
	e.ufrags, e.origin, e.trusted, e.halfOpen = []string{creds.Ufrag}, o.Origin, o.Trusted, true
	p.ufrags[creds.Ufrag] = e
	w := p.shards[shard]
	w.mail.post(func(now clock.Time) { w.openLeg(now, e.leg, o, creds) })
	return p.local(shard, creds), nil
}

func (p *Pool) admitLocked(o plane.Open, s engine.Shard) error {
	if err := p.readyLocked(s); err != nil {
		return err
	}
	if len(p.links) >= p.cfg.Caps.MaxLinks {
		return &fault.Error{Code: 503, Reason: "overloaded", Message: "this node is full", RetryAfter: p.cfg.Caps.JoinTimeout}
	}
	return p.joins.enter(o.Origin, o.Trusted)
}

func (p *Pool) local(s engine.Shard, creds ice.Creds) plane.Local {
	hash, value := p.cfg.Identity.Fingerprint()
	return plane.Local{
		ICE:         plane.ICECreds{Ufrag: creds.Ufrag, Pwd: ids.Secret(creds.Pwd)},
		Fingerprint: plane.Fingerprint{Hash: hash, Value: value},
		Candidates:  p.shards[s].candidates,
	}
}

// confLocked returns the books of a conference, making them on its first link.
func (p *Pool) confLocked(id ids.Conference) *conf {
	c := p.confs[id]
	if c == nil {
		c = &conf{
			id: id, home: p.leastLoadedLocked(), onShard: make([]int, len(p.shards)),
			links: map[ids.Connection]*entry{}, tracks: map[ids.Track]*source{},
		}
		p.confs[id] = c
	}
	return c
}

func (p *Pool) dropConfLocked(c *conf) {
	if len(c.links) == 0 && len(c.tracks) == 0 {
		delete(p.confs, c.id)
	}
}

// placeLocked chooses the shard of a conference's next link: its home, so that
// packets need not cross, until the room outgrows it.
func (p *Pool) placeLocked(c *conf) engine.Shard {
	if c.onShard[c.home] < p.cfg.Caps.LinksPerShard {
		return c.home
	}
	best := c.home
	for s := range p.home {
		if p.home[s].links < p.home[best].links {
			best = engine.Shard(s)
		}
	}
	return best
}

func (p *Pool) leastLoadedLocked() engine.Shard {
	best := engine.Shard(0)
	for s := range p.home {
		if p.home[s].links < p.home[best].links {
			best = engine.Shard(s)
		}
	}
	return best
}

// Configure replaces the media of a link. See plane.Plane.
func (p *Pool) Configure(conn ids.Connection, m plane.LegMedia) error {
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
	w.mail.post(func(now clock.Time) { w.configure(now, e.leg, m) })
	return nil
}

// Restart gives a link fresh ICE credentials. See plane.Plane.
func (p *Pool) Restart(conn ids.Connection, remote plane.ICECreds) (plane.Local, error) {
	creds := ice.NewCreds()
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[conn]
	if e == nil || len(e.ufrags) == 0 {
		return plane.Local{}, unknownConnection()
	}
	if err := p.readyLocked(e.shard); err != nil {
		return plane.Local{}, err
	}
	// The generation in use stays valid until a new one is checked, and a restart may
	// follow on one that never was; older ones go.
	for len(e.ufrags) > 2 {
		delete(p.ufrags, e.ufrags[0])
		e.ufrags = e.ufrags[1:]
	}
	e.ufrags = append(e.ufrags, creds.Ufrag)
	p.ufrags[creds.Ufrag] = e
	w := p.shards[e.shard]
	w.mail.post(func(now clock.Time) { w.restart(now, e.leg, creds, remote) })
	return p.local(e.shard, creds), nil
}

// Close ends a link. See plane.Plane.
func (p *Pool) Close(conn ids.Connection, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.links[conn]; e != nil {
		p.closeLocked(e, reason)
	}
}

// closeLocked takes a link out of the books and tells the shards.
func (p *Pool) closeLocked(e *entry, reason string) {
	for id := range e.tracks {
		p.unpublishLocked(id)
	}
	for _, s := range e.subs {
		p.detachLocked(s)
		delete(p.subs, s.sub.Sub)
	}
	delete(p.links, e.conn)
	delete(e.conf.links, e.conn)
	for _, u := range e.ufrags {
		delete(p.ufrags, u)
	}
	p.settleLocked(e)
	p.home[e.shard].links--
	e.conf.onShard[e.shard]--
	p.dropConfLocked(e.conf)
	w := p.shards[e.shard]
	w.mail.post(func(now clock.Time) { w.closeLeg(now, e.leg, reason) })
	// The shard works through its mailbox in order, so a link opened under this
	// number from now on finds it free.
	p.home[e.shard].legIDs.put(uint32(e.leg))
}

// settleLocked takes a link out of the count of unfinished joins.
func (p *Pool) settleLocked(e *entry) {
	if e.halfOpen {
		e.halfOpen = false
		p.joins.leave(e.origin, e.trusted)
	}
}

// linkConnected is called by a shard when a handshake is done.
func (p *Pool) linkConnected(conn ids.Connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.links[conn]; e != nil {
		p.settleLocked(e)
	}
}

// linkEnded is called by a shard when a link failed by itself; the shard frees
// it when the answering command arrives.
func (p *Pool) linkEnded(conn ids.Connection, shard engine.Shard, leg graph.LegID, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.links[conn]; e != nil && e.shard == shard && e.leg == leg {
		p.closeLocked(e, reason)
	}
}

// EndConference drops everything of a conference. See plane.Plane.
func (p *Pool) EndConference(id ids.Conference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.confs[id]
	if c == nil {
		return
	}
	for _, e := range c.links {
		p.closeLocked(e, "conference ended")
	}
}

// SendData queues a message on a data channel of a link. See plane.Plane.
func (p *Pool) SendData(conn ids.Connection, channel uint16, binary bool, data []byte) error {
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
	w.mail.post(func(clock.Time) { w.sendData(e.leg, channel, binary, data) })
	return nil
}

// Stats returns a snapshot for one link. It waits for the shard's next turn, so
// it is not for a loop over many links in a hot place.
func (p *Pool) Stats(conn ids.Connection) (plane.LinkStats, bool) {
	p.mu.Lock()
	e := p.links[conn]
	p.mu.Unlock()
	if e == nil {
		return plane.LinkStats{}, false
	}
	type answer struct {
		s  plane.LinkStats
		ok bool
	}
	got := make(chan answer, 1)
	w := p.shards[e.shard]
	if !w.mail.post(func(clock.Time) {
		s, ok := w.stats(e.leg, conn)
		got <- answer{s, ok}
	}) {
		return plane.LinkStats{}, false
	}
	select {
	case a := <-got:
		return a.s, a.ok
	case <-w.done:
	case <-time.After(snapshotPatience):
	}
	return plane.LinkStats{}, false
}
