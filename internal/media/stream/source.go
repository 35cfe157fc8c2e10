package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
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
	gauge gauge
	key   bool

	dep    *layer.Dependency // made when the first descriptor comes
	learnt int64             // packet whose structure dep read last
	sizes  [layer.MaxSpatial][2]uint16
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
	// Quiet: it is not among the loudest, where only those are heard.
	Quiet bool
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

// Classify finds out what the packet is: its layers, and whether a keyframe
// begins with it. Of an encrypted payload only what a codec's framing leaves
// clear counts.
func (s *Source) Classify(p *graph.Packet) {
	if !s.Video() || s.Info == nil || p.Hdr.PayloadOff >= p.Hdr.PayloadEnd {
		return
	}
	l := &s.Layers[p.Layer]
	codec := s.codec(p.Hdr.PayloadType)
	described := s.describe(p, l, codec)
	key := false
	if described && (s.Track.Encrypted || codec == payload.AV1) {
		key = p.Frame.Has(layer.Key)
	} else {
		key = payload.Keyframe(codec, p.Payload())
	}
	if !key || (l.key && l.keyTS == p.Hdr.TS) {
		return
	}
	l.key, l.keyTS = true, p.Hdr.TS
	p.Keyframe = true
}

// describe reads the packet's layers; true if by a dependency descriptor.
func (s *Source) describe(p *graph.Packet, l *Layer, codec payload.Codec) bool {
	if id := s.Info.Exts[plane.ExtDependency]; id != 0 && p.Exts>>min(id, 31)&1 != 0 && s.depend(p, l, id) {
		return true
	}
	switch codec {
	case payload.VP8:
		if i, ok := layer.ParseVP8(p.Payload(), p.Hdr.TS, p.Hdr.Marker); ok {
			p.Frame = i
		}
	case payload.VP9:
		var v layer.VP9
		if layer.ParseVP9(p.Payload(), &v) {
			if p.Frame = v.Info; !v.HasID {
				p.Frame.Frame = uint16(p.Hdr.TS)
			}
		}
	}
	return false
}

// depend reads the packet's dependency descriptor.
func (s *Source) depend(p *graph.Packet, l *Layer, id uint8) bool {
	b, ok := p.Hdr.Ext(p.Buf.B[:], id)
	if !ok {
		return false
	}
	if l.dep == nil {
		l.dep = new(layer.Dependency)
	}
	l.dep.Late = p.Repaired
	i, ok := l.dep.Read(b)
	if !ok {
		return false
	}
	if i.Has(layer.Tells) {
		l.learnt = p.ExtSeq
	}
	p.Frame = i
	return true
}

// learn takes what a kept packet says of its encoding: on a shard that mirrors
// the track nobody has read it yet.
func (s *Source) learn(p *graph.Packet, l *Layer) {
	if p.Frame.Has(layer.Tells) && l.learnt != p.ExtSeq {
		s.depend(p, l, s.Info.Exts[plane.ExtDependency])
	}
	if !p.Keyframe {
		return
	}
	codec := s.codec(p.Hdr.PayloadType)
	if codec == payload.VP9 {
		var v layer.VP9
		if layer.ParseVP9(p.Payload(), &v) && v.Structure {
			for i := range l.sizes {
				l.sizes[i] = [2]uint16{v.Width[i], v.Height[i]}
			}
			return
		}
	}
	if s.Track.Encrypted && codec != payload.VP8 {
		return
	}
	if z, ok := payload.KeySize(codec, p.Payload()); ok && !z.Odd {
		l.sizes[0] = [2]uint16{uint16(z.Width), uint16(z.Height)}
	}
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
	l.gauge.add(p)
	if (p.Keyframe || p.Frame.Has(layer.Tells)) && s.Video() && s.Info != nil {
		s.learn(p, l)
	}
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
const (
	topWidth  = 1280
	topHeight = 720
)

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
	l.Ref, l.key, l.dep = TimeRef{}, false, nil
	l.Hist.Clear()
	s.Epoch++
}

// Close releases all packets.
func (s *Source) Close() {
	for i := range s.Layers {
		s.Layers[i].Hist.Clear()
	}
}
