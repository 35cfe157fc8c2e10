package engine

import (
	"cmp"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

const (
	// maxStreams bounds the SSRCs one peer may open (D10).
	maxStreams = 50
	// Packets that nothing is known about yet (the track is being announced, or
	// the SSRC's MID has not come) wait a little.
	holdFor = 500 * time.Millisecond
	holdMax = 64
)

// leg is one peer's RTP session.
type leg struct {
	cfg      LegConfig
	conf     *conference
	media    plane.LegMedia
	ssrc     uint32 // reports come from it
	egress   stream.Egress
	allot    allotment
	elected  bool             // not all cameras are sent
	poll     uint64           // of the conference at its last election; 0: it is due
	withheld []plane.Withheld // that the peer was told of

	streams []*inStream
	known   []binding // what SSRCs were bound to, also after they timed out
	last    *inStream // of the packet before
	tracks  []*track  // published here
	subs    []*subscription
	held    []held
	retry   bool // the sections changed: held packets may find theirs
	ids     legExts
	useTWCC bool
	useCCFB bool
	useREMB bool
	twcc    stream.Recorder
	marks   stream.Marks
	est     stream.Estimator
	bye     map[uint32]bool             // SSRCs we said BYE for
	named   map[uint32]bool             // contributors the peer has heard of
	pass    [plane.Application + 1]bool // kinds of media whose RTCP crosses to others

	told            Totals // what the shard's totals have of it
	trace           *tracer
	packets, octets uint64
	compounds       uint64 // of RTCP
	nacks, plis     uint64
	recovered       uint64 // packets made out of others' redundancy
	goodput, rateIn uint64
	priorOut, prior uint64
	priorAt         clock.Time
	reportDue       clock.Time
	reported        clock.Time // last regular report
	offset          int64      // our time minus the peer's NTP time, ns
	hasOffset       bool
	due             clock.Time // in the engine's heap
	heapAt          int
	sections        []stream.Section
}

// legExts are the ids needed to bind a packet; within a BUNDLE group an
// extension has one id (RFC 8843, section 9.1).
type legExts struct{ mid, rid, rrid, twcc, level uint8 }

// held is a packet that waits to be bound.
type held struct {
	buf *ring.Buf
	at  clock.Time
}

// inStream is one SSRC the peer sends.
type inStream struct {
	recv  stream.Receiver
	mid   string
	sect  int // index into the leg's sections, follows mid
	layer uint8
	rtx   bool      // repairs: RTX or parity
	main  *inStream // of these: the stream that is repaired
	track *track    // nil: not published (yet)
	off   int64     // added to extended numbers, so that they run on over SSRCs
	heard clock.Time
	nacks uint64 // sequence numbers asked for
	gauge inGauge
	// parity is that of this stream which waits for what it lacks.
	parity []parity
}

func (s *inStream) detach() {
	if t := s.track; t != nil && !s.rtx && t.layers[s.layer].in == s {
		t.layers[s.layer].in = nil
	}
	s.track = nil
	s.drop()
}

// ConfigureLeg implements [API].
func (e *Engine) ConfigureLeg(now clock.Time, id graph.LegID, m plane.LegMedia) {
	l := e.leg(id)
	if l == nil {
		return
	}
	m.CNAME = cmp.Or(m.CNAME, noCNAME)
	l.media = m
	l.record(now, &m)
	l.relocate()
	l.ids, l.useTWCC, l.useCCFB, l.useREMB = legExts{}, false, false, false
	for i := range m.Sections {
		l.learn(&m.Sections[i])
	}
	l.sections = l.sections[:0:0]
	for i := range m.Sections {
		if s := &m.Sections[i]; s.Send != nil {
			l.sections = append(l.sections, stream.Section{MID: s.MID, Exts: s.Exts, Codecs: s.Send.Codecs, FEC: s.Send.FEC, FECSSRC: s.Send.FECSSRC})
		}
	}
	l.egress.Configure(agreed(m.Sections))
	e.reseat(now, l.conf)
	for _, t := range l.tracks {
		t.configure(l)
	}
	for _, s := range l.subs {
		e.attach(now, s)
	}
	if len(l.held) > 0 {
		l.retry = true
		e.wake(l, now)
	}
}

func (l *leg) learn(s *plane.Section) {
	first := func(p *uint8, x plane.Ext) {
		if *p == 0 {
			*p = s.Exts[x]
		}
	}
	first(&l.ids.mid, plane.ExtMID)
	if s.Recv == nil {
		return
	}
	first(&l.ids.rid, plane.ExtRID)
	first(&l.ids.rrid, plane.ExtRepairedRID)
	first(&l.ids.twcc, plane.ExtTransportCC)
	first(&l.ids.level, plane.ExtAudioLevel)
	for _, c := range s.Recv.Codecs {
		l.useTWCC = l.useTWCC || (c.TWCC && s.Exts[plane.ExtTransportCC] != 0)
		l.useCCFB = l.useCCFB || c.CCFB
		l.useREMB = l.useREMB || c.REMB
	}
}

// section returns the section we send on with this MID.
func (l *leg) section(mid string) *stream.Section {
	for i := range l.sections {
		if l.sections[i].MID == mid {
			return &l.sections[i]
		}
	}
	return nil
}

// recvSection returns the index of the section with this MID, -1 if the peer
// does not send there.
func (l *leg) recvSection(mid string) int {
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.MID == mid && s.Recv != nil {
			return i
		}
	}
	return -1
}

// relocate finds each stream's section again, since rejected sections may have
// moved the others, and drops streams of sections that no longer receive.
func (l *leg) relocate() {
	for i := 0; i < len(l.streams); {
		s := l.streams[i]
		if s.sect = l.recvSection(s.mid); s.sect < 0 {
			l.forget(s)
			continue
		}
		i++
	}
}

// binding remembers what an SSRC carries. A browser names MID and RID only
// until the first report, so a paused layer comes back without them.
type binding struct {
	ssrc  uint32
	mid   string
	layer uint8
	rtx   bool
}

// remember keeps a binding, forgetting the oldest when there are many.
func (l *leg) remember(b binding) {
	l.unremember(b.ssrc)
	if len(l.known) >= maxStreams {
		l.known = append(l.known[:0], l.known[1:]...)
	}
	l.known = append(l.known, b)
}

func (l *leg) unremember(ssrc uint32) {
	l.known = slices.DeleteFunc(l.known, func(b binding) bool { return b.ssrc == ssrc })
}

// forget removes a stream.
func (l *leg) forget(s *inStream) {
	s.detach()
	if l.last == s {
		l.last = nil
	}
	for i, x := range l.streams {
		if x == s {
			l.streams = append(l.streams[:i], l.streams[i+1:]...)
			break
		}
	}
	for _, x := range l.streams {
		if x.main == s {
			x.main = nil
		}
	}
}

// find returns the stream of an SSRC. Peers send runs of one, so the last is
// tried first; there are at most maxStreams.
func (l *leg) find(ssrc uint32) *inStream {
	if l.last != nil && l.last.recv.SSRC == ssrc {
		return l.last
	}
	for _, s := range l.streams {
		if s.recv.SSRC == ssrc {
			l.last = s
			return s
		}
	}
	return nil
}

func (l *leg) hold(now clock.Time, buf *ring.Buf, d *Drops) {
	if len(l.held) == holdMax {
		d.UnknownSSRC++
		return
	}
	l.held = append(l.held, held{buf: buf.Retain(), at: now})
}

func (l *leg) dropHeld(d *Drops) {
	for i := range l.held {
		l.held[i].buf.Release()
		d.HeldTooLong++
	}
	l.held = nil
}
