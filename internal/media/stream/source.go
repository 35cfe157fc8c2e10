package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

// MaxLayers bounds the simulcast encodings of one track.
const MaxLayers = 4

// Info is what receivers need to know of a publisher's section. Read-only once
// made, so shards share it.
type Info struct {
	Exts   plane.ExtIDs
	Codecs []plane.Codec
	Layers int
	Clock  uint32 // Hz, of the first codec
}

// Retransmits reports whether a payload type is one of RFC 4588.
func (i *Info) Retransmits(pt uint8) bool {
	if i == nil || pt == 0 {
		return false
	}
	for k := range i.Codecs {
		if i.Codecs[k].RTX == pt {
			return true
		}
	}
	return false
}

// TimeRef says what the RTP clock of a layer showed at an instant of ours.
type TimeRef struct {
	At clock.Time
	TS uint32
}

// TimeStamp returns the RTP time at t.
func (r TimeRef) TimeStamp(t clock.Time, hz uint32) uint32 {
	return r.TS + Ticks(t.Sub(r.At), hz)
}

// Ticks converts a span to RTP clock units, wrapping.
func Ticks(d time.Duration, hz uint32) uint32 {
	return uint32(int64(d/time.Microsecond) * int64(hz) / 1e6)
}

// Layer is one encoding of a source as a shard sees it.
type Layer struct {
	Hist  History
	Ref   TimeRef    // from the sender's reports; At zero: none yet
	Last  clock.Time // last packet
	Gen   uint16     // changes with the SSRC: timestamps before and after are unrelated
	keyTS uint32     // timestamp of the last keyframe
	meter meter
	key   bool
}

// Source is a published track on a shard, its own or mirrored from another.
type Source struct {
	ID     graph.TrackID
	Track  plane.Track
	Info   *Info // nil until the section is configured
	Layers [MaxLayers]Layer
	// Epoch changes when forwarding resumes after a mute: what came between was
	// left out on purpose and is no loss.
	Epoch uint32
}

// NewSource makes the state of a track; nothing is allocated for packets yet.
func NewSource(id graph.TrackID, t plane.Track) *Source {
	s := &Source{ID: id, Track: t}
	for i := range s.Layers {
		s.Layers[i].Hist.size = audioHistory
		if t.Kind == plane.Video {
			s.Layers[i].Hist.size = videoHistory
		}
	}
	return s
}

// Video reports whether pictures, hence keyframes, matter.
func (s *Source) Video() bool { return s.Track.Kind == plane.Video }

// Clock returns the RTP clock rate.
func (s *Source) Clock() uint32 {
	switch {
	case s.Info != nil && s.Info.Clock != 0:
		return s.Info.Clock
	case s.Video():
		return 90000
	}
	return 48000
}

// Classify sets p.Keyframe from the payload.
func (s *Source) Classify(p *graph.Packet) {
	if !s.Video() || s.Info == nil || p.Hdr.PayloadOff >= p.Hdr.PayloadEnd {
		return
	}
	l := &s.Layers[p.Layer]
	if !payload.Keyframe(s.codec(p.Hdr.PayloadType), p.Payload()) || (l.key && l.keyTS == p.Hdr.TS) {
		return
	}
	l.key, l.keyTS = true, p.Hdr.TS
	p.Keyframe = true
}

// frameNumber reads the frame number of the dependency descriptor: after one byte
// of flags and template id (AV1 RTP payload, appendix A.8.1).
func (s *Source) frameNumber(p *graph.Packet) (uint16, bool) {
	d, ok := p.Hdr.Ext(p.Buf.B[:], s.Info.Exts[plane.ExtDependency])
	if !ok || len(d) < 3 {
		return 0, false
	}
	return uint16(d[1])<<8 | uint16(d[2]), true
}

func (s *Source) codec(pt uint8) payload.Codec {
	for i := range s.Info.Codecs {
		if c := &s.Info.Codecs[i]; c.PT == pt {
			return payload.ByName(c.Name)
		}
	}
	return payload.Opaque
}

// Keep puts a packet into its layer's history.
func (s *Source) Keep(p *graph.Packet) {
	l := &s.Layers[p.Layer]
	l.Last = p.Arrival
	l.meter.octets += uint64(p.Buf.N)
	l.Hist.Put(p)
}

// liveFor is how long a layer may pause and still count: longer than the frame
// interval of the slowest useful video, short enough to fall back in time.
const liveFor = 750 * time.Millisecond

// Live reports whether a layer carries packets now.
func (s *Source) Live(now clock.Time, layer int) bool {
	l := &s.Layers[layer]
	return l.Last != 0 && now.Sub(l.Last) < liveFor
}

// topWidth is the width assumed for the best encoding; each lower one has half,
// as browsers scale by default.
const topWidth = 1280

// Pick chooses the layer for a receiver that wants width pixels (0: the best):
// the lowest live one that is wide enough, else the highest live, -1 if none is.
func (s *Source) Pick(now clock.Time, width int) int {
	n := 1
	if s.Info != nil && s.Info.Layers > 1 {
		n = min(s.Info.Layers, MaxLayers)
	}
	best := -1
	for i := range n {
		if !s.Live(now, i) {
			continue
		}
		best = i
		if width > 0 && topWidth>>(n-1-i) >= width {
			break
		}
	}
	return best
}

// Restart makes a layer begin anew, because its SSRC changed.
func (s *Source) Restart(layer uint8) {
	l := &s.Layers[layer]
	l.Gen++
	l.Ref, l.key = TimeRef{}, false
	l.Hist.Clear()
	s.Epoch++
}

// Close releases all packets.
func (s *Source) Close() {
	for i := range s.Layers {
		s.Layers[i].Hist.Clear()
	}
}
