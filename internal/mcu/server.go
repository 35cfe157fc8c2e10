package mcu

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
)

// Config is what a Server is made with.
type Config struct {
	Plane  plane.Plane
	Wires  plane.Wires
	Now    func() clock.Time
	Anchor clock.Anchor
	Log    *slog.Logger
	// Talkers are mixed at a time, 0: 3.
	Talkers int
	// Codecs of audio; nil: what is installed.
	Codecs *codec.Library
	// Video makes the other half; its New nil: video is refused.
	Video Maker

	manual bool // tests turn rooms themselves
}

// Server mixes for the conferences of a node. It implements plane.Mixer. Close
// it before the plane.
type Server struct {
	cfg   Config
	audio Maker
	load  load
	count counters
	ahead atomic.Int64 // goroutines on threads of their own

	mu     sync.Mutex
	rooms  map[ids.Conference]*room // guarded by mu
	closed bool                     // guarded by mu
	done   sync.WaitGroup
}

// counters are of all rooms, for metrics.
type counters struct {
	slots, late, packetsIn, packetsOut, dropped, loops atomic.Uint64
	refused                                            [2]atomic.Uint64 // by kind
}

// Counters is a snapshot for metrics.
type Counters struct {
	Rooms, Audio, Video                                int // rooms and running outputs
	Slots, Late, PacketsIn, PacketsOut, Dropped, Loops uint64
	Refused                                            [2]uint64 // outputs, audio and video
}

// New makes a server; it starts nothing until a room needs it.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Codecs == nil {
		c.Codecs = codec.Open(codec.Options{})
	}
	s := &Server{cfg: c, rooms: map[ids.Conference]*room{}}
	s.audio = audioMaker(c.Codecs, c.Talkers)
	return s
}

// maker finds the half that does a kind.
func (s *Server) maker(k plane.Kind) *Maker {
	switch {
	case k == plane.Audio:
		return &s.audio
	case k == plane.Video && s.cfg.Video.New != nil:
		return &s.cfg.Video
	}
	return nil
}

// Can implements plane.Mixer.
func (s *Server) Can(k plane.Kind, c plane.Codec) error {
	m := s.maker(k)
	if m == nil {
		return fault.New(503, "codec-missing", "this server does not mix %s", k)
	}
	return m.Can(c)
}

// room returns a conference's room, made if it is new.
func (s *Server) room(conf ids.Conference) (*room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fault.New(503, "shutdown", "the mixer stops")
	}
	r := s.rooms[conf]
	if r == nil {
		r = newRoom(s, conf)
		s.rooms[conf] = r
		if !s.cfg.manual {
			s.done.Go(r.run)
		}
	}
	return r, nil
}

func (s *Server) known(conf ids.Conference) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[conf]
}

// Room implements plane.Mixer.
func (s *Server) Room(m plane.MixRoom) {
	if r, err := s.room(m.Conf); err == nil {
		r.setRoom(m)
	}
}

// Start implements plane.Mixer.
func (s *Server) Start(o plane.MixOutput) error {
	if err := s.Can(o.Kind, o.Codec); err != nil {
		return err
	}
	if s.load.over(o.Kind) && !s.runs(o) {
		s.count.refused[o.Kind-plane.Audio].Add(1)
		return &fault.Error{Code: 503, Reason: "overloaded", Message: "the mixer is at its limit", RetryAfter: 10 * time.Second}
	}
	r, err := s.room(o.Conf)
	if err != nil {
		return err
	}
	return r.start(o)
}

func (s *Server) runs(o plane.MixOutput) bool {
	r := s.known(o.Conf)
	return r != nil && r.link.has(o.Track)
}

// Stop implements plane.Mixer.
func (s *Server) Stop(conf ids.Conference, t ids.Track) {
	if r := s.known(conf); r != nil {
		r.stop(t)
	}
}

// End implements plane.Mixer.
func (s *Server) End(conf ids.Conference) {
	s.mu.Lock()
	r := s.rooms[conf]
	delete(s.rooms, conf)
	s.mu.Unlock()
	if r != nil {
		r.end()
	}
}

// Stats implements plane.Mixer.
func (s *Server) Stats(t ids.Track) (plane.MixStats, bool) {
	s.mu.Lock()
	rooms := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		if st, ok := r.link.stats(t); ok {
			return st, true
		}
	}
	return plane.MixStats{}, false
}

// Counters returns a snapshot.
func (s *Server) Counters() Counters {
	c := &s.count
	out := Counters{
		Slots: c.slots.Load(), Late: c.late.Load(), PacketsIn: c.packetsIn.Load(), PacketsOut: c.packetsOut.Load(),
		Dropped: c.dropped.Load(), Loops: c.loops.Load(), Refused: [2]uint64{c.refused[0].Load(), c.refused[1].Load()},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Rooms = len(s.rooms)
	for _, r := range s.rooms {
		a, v := r.link.counts()
		out.Audio, out.Video = out.Audio+a, out.Video+v
	}
	return out
}

// Close ends all rooms and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	rooms := s.rooms
	s.rooms = map[ids.Conference]*room{}
	s.mu.Unlock()
	for _, r := range rooms {
		r.end()
	}
	s.done.Wait()
	if s.cfg.Video.Close != nil {
		s.cfg.Video.Close()
	}
}

// load knows how many of the node's audio slots were late. Video is refused
// before audio suffers, audio before the rooms that run do (scenario M3).
type load struct {
	// late is the smoothed share of late slots in parts per million.
	late atomic.Int64
}

// A slot is late when its turn comes 20 ms after it was due or more, which the
// jitter buffers of listeners cover. Pictures are made by what sound leaves over,
// so late slots mean that neighbours or the server itself have the processors.
// Pictures end where every fourth slot is, and sound where most are. A machine
// shared with busy neighbours (load average 10 a core) has 3 to 25 of 100 late
// without any doing of ours, and work refused then would help nobody.
const (
	videoLimit = 250_000 // of a million
	audioLimit = 600_000
)

// slot notes one slot; n rooms share the memory of some ten seconds of one room.
func (l *load) slot(late bool) {
	v := l.late.Load()
	x := int64(0)
	if late {
		x = 1_000_000
	}
	l.late.Store(v + (x-v)/512)
}

func (l *load) over(k plane.Kind) bool {
	if k == plane.Video {
		return l.late.Load() > videoLimit
	}
	return l.late.Load() > audioLimit
}
