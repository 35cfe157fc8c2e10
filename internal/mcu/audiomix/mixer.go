package audiomix

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// Codecs makes decoders and encoders; implemented by codec.Library.
type Codecs interface {
	Decoder(plane.Codec) (codec.Decoder, error)
	Encoder(plane.Codec, codec.Settings) (codec.Encoder, error)
	Can(plane.Codec) error
}

// Sink takes what a mixer makes; called within the call that made it.
type Sink interface {
	// Packet is one serialised RTP packet of an output, borrowed. lane is the one
	// its Output was started with.
	Packet(lane int, out ids.Track, packet []byte)
	// Contributors is who can be heard in an output, whenever that changes.
	Contributors(out ids.Track, now []plane.Contributor)
	// Loop tells that a mixed source carries an id of ours: it is muted (MIX-10).
	Loop(src ids.Track, id uint32)
}

// Exts are the numbers that packets from sources carry; 0: none.
type Exts struct {
	Level     uint8 // audio level, RFC 6464
	MixLevels uint8 // mixer levels, RFC 6465
	Noise     uint8 // payload type of comfort noise, RFC 3389
}

// Config is what a Mixer is made with.
type Config struct {
	Codecs  Codecs
	Sink    Sink
	Exts    Exts
	Random  func() uint32 // first sequence numbers and timestamps
	Talkers int           // how many are mixed at a time, 0: 3
	// Separate gives every output an encoder of its own: for measurements.
	Separate bool
}

// DefaultTalkers are mixed at a time: with more, nobody is understood.
const DefaultTalkers = 3

const (
	// keep is by how many dB a challenger must be louder than a talker.
	keep = 6
	// linger is how many slots somebody who spoke keeps an encoder of their own
	// unless a silent moment comes first: the change of encoders is heard least
	// then.
	linger = 250
	// spacious is how many silent slots are still encoded before one-byte packets
	// take their place.
	spacious = 10
)

// Mixer mixes one conference. See the package comment for its threading.
type Mixer struct {
	cfg     Config
	sources []*source
	byTrack map[ids.Track]*source
	devices map[ids.Device]*device
	talking []*device // that keep an encoder of their own
	outputs []*output
	byOut   map[ids.Track]*output
	classes map[classKey]*class
	order   []*class // the same, in order of making

	mixed []*source // in this slot's mix, loudest first
	rank  []*source
	sum   [Frame]int32
	min   [Frame]int32
	known []plane.Contributor // have been heard and are still here
	odd   [maxPacket]byte
	slots uint64
}

// New makes a mixer.
func New(c Config) *Mixer {
	if c.Talkers <= 0 {
		c.Talkers = DefaultTalkers
	}
	return &Mixer{
		cfg: c, byTrack: map[ids.Track]*source{}, devices: map[ids.Device]*device{},
		byOut: map[ids.Track]*output{}, classes: map[classKey]*class{},
	}
}

// Close frees codecs.
func (m *Mixer) Close() {
	for _, s := range m.sources {
		s.close()
	}
	for _, c := range m.order {
		c.close()
	}
	m.sources, m.order, m.outputs = nil, nil, nil
}

// SetSources replaces the list of what may be heard. A source that stays keeps
// its state; one whose codec changed starts anew.
func (m *Mixer) SetSources(list []plane.MixSource) {
	seen := make(map[ids.Track]bool, len(list))
	for _, x := range list {
		if x.Kind != plane.Audio {
			continue
		}
		seen[x.Track] = true
		if s := m.byTrack[x.Track]; s != nil && sameFormat(s.Codec, x.Codec) && s.Device == x.Device {
			s.MixSource = x
			continue
		}
		m.drop(x.Track)
		s := newSource(x, m.device(x.Device))
		m.sources = append(m.sources, s)
		m.byTrack[x.Track] = s
	}
	for i := len(m.sources) - 1; i >= 0; i-- {
		if s := m.sources[i]; !seen[s.Track] {
			m.drop(s.Track)
		}
	}
	m.forget()
}

func sameFormat(a, b plane.Codec) bool {
	return a.Name == b.Name && a.PT == b.PT && a.ClockRate == b.ClockRate
}

func (m *Mixer) device(id ids.Device) *device {
	d := m.devices[id]
	if d == nil {
		d = &device{id: id}
		m.devices[id] = d
	}
	return d
}

// leave forgets a device that neither speaks nor listens.
func (m *Mixer) leave(d *device) {
	if d == nil || len(d.srcs) > 0 || d.outs > 0 {
		return
	}
	d.own = 0
	delete(m.devices, d.id)
	m.talking = slices.DeleteFunc(m.talking, func(x *device) bool { return x == d })
}

func (m *Mixer) drop(t ids.Track) {
	s := m.byTrack[t]
	if s == nil {
		return
	}
	s.close()
	s.dev.srcs = slices.DeleteFunc(s.dev.srcs, func(x *source) bool { return x == s })
	m.leave(s.dev)
	delete(m.byTrack, t)
	m.mixed = m.mixed[:0]
	m.sources = slices.DeleteFunc(m.sources, func(x *source) bool { return x == s })
}

// forget takes those who left from the contributors.
func (m *Mixer) forget() {
	n := len(m.known)
	m.known = slices.DeleteFunc(m.known, func(c plane.Contributor) bool {
		return !slices.ContainsFunc(m.sources, func(s *source) bool { return s.SrcID == c.SrcID })
	})
	if len(m.known) != n {
		m.tellContributors()
	}
}

// HandleRTP takes a packet of a source, borrowed.
func (m *Mixer) HandleRTP(now clock.Time, src ids.Track, b []byte) {
	s := m.byTrack[src]
	var h rtp.Header
	if s == nil || len(b) > rtp.MaxSize || rtp.Parse(b, &h) != rtp.OK {
		return
	}
	s.handle(now, b, &h, m.cfg.Codecs, m.cfg.Exts)
	if s.Mixed && h.CSRCCount > 0 {
		m.checkLoop(now, s, b, &h)
	}
}

// checkLoop mutes a mixed source that names an id we are the source of: our own
// mix has come back (RFC 3550, section 8.2; check MIX-10).
func (m *Mixer) checkLoop(now clock.Time, s *source, b []byte, h *rtp.Header) {
	for i := range int(h.CSRCCount) {
		id := h.CSRC(b, i)
		if !m.emits(id) {
			continue
		}
		if s.looped == 0 {
			m.cfg.Sink.Loop(s.Track, id)
		}
		s.looped = now
		return
	}
}

// emits tells whether id is an output of ours or a source that comes in directly.
func (m *Mixer) emits(id uint32) bool {
	for _, s := range m.sources {
		if s.SrcID == id && !s.Mixed {
			return true
		}
	}
	for _, o := range m.outputs {
		if o.SSRC == id {
			return true
		}
	}
	return false
}

// Tick makes one slot. now is when it was due.
func (m *Mixer) Tick(now clock.Time) {
	m.slots++
	for _, s := range m.sources {
		s.jb.tick = now
		if s.looped != 0 && now.Sub(s.looped) > loopClear {
			s.looped = 0
		}
		s.listen()
		if !s.told && !s.Muted && s.dec != nil {
			s.measure()
		}
	}
	m.choose()
	m.mix()
	m.encode(now)
}

// choose picks the loudest talkers of this slot.
func (m *Mixer) choose() {
	m.rank = m.rank[:0]
	for _, s := range m.sources {
		s.was, s.chosen = s.chosen, false
		if !s.active() || s.dec == nil {
			continue
		}
		i := len(m.rank)
		for i > 0 && s.score() > m.rank[i-1].score() {
			i--
		}
		if i < m.cfg.Talkers {
			if len(m.rank) == m.cfg.Talkers {
				m.rank = m.rank[:len(m.rank)-1]
			}
			m.rank = slices.Insert(m.rank, i, s)
		}
	}
	for _, s := range m.rank {
		s.chosen = true
	}
}

func (s *source) score() int {
	if s.was {
		return s.loud + keep
	}
	return s.loud
}

// mix decodes whoever is in this slot and adds them up.
func (m *Mixer) mix() {
	m.mixed = m.mixed[:0]
	clear(m.sum[:])
	for _, d := range m.talking {
		d.heard = false
	}
	for _, s := range m.sources {
		in := (s.chosen || s.was) && s.dec != nil
		if s.told || s.Muted {
			if in {
				s.render()
			} else {
				s.skip()
			}
		}
		if !in {
			continue
		}
		s.lift()
		s.ramp()
		if s.dev.heard = true; s.dev.own == 0 {
			m.talking = append(m.talking, s.dev)
		}
		s.dev.own = linger
		for i, v := range s.pcm {
			m.sum[i] += int32(v)
		}
		m.mixed = append(m.mixed, s)
	}
	slices.SortStableFunc(m.mixed, func(a, b *source) int { return b.loud - a.loud })
	m.meet()
}

// meet adds whoever is heard for the first time to the contributors.
func (m *Mixer) meet() {
	n := len(m.known)
	for _, s := range m.mixed {
		if s.SrcID != 0 && !s.Mixed && !slices.ContainsFunc(m.known, func(c plane.Contributor) bool { return c.SrcID == s.SrcID }) {
			m.known = append(m.known, plane.Contributor{SrcID: s.SrcID, CNAME: s.CNAME})
		}
	}
	if len(m.known) != n {
		m.tellContributors()
	}
}

func (m *Mixer) tellContributors() {
	for _, o := range m.outputs {
		m.tell(o)
	}
}

// tell says who can be heard in an output: everybody but its listener.
func (m *Mixer) tell(o *output) {
	if o.Anonymous {
		return
	}
	list := make([]plane.Contributor, 0, len(m.known))
	for _, c := range m.known {
		if !o.dev.owns(c.SrcID) {
			list = append(list, c)
		}
	}
	m.cfg.Sink.Contributors(o.Track, list)
}
