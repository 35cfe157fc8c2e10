package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rewrite"
	"parley/internal/media/rtp"
)

// Projection is one source as one leg receives it, under an SSRC of the leg
// (RFC 7667, section 3.7); in a slot the source changes and the SSRC stays
// (section 3.6.2). Outgoing numbers are consecutive over what is sent; a packet
// lost on its way to us keeps its number free until it is repaired.
type Projection struct {
	SSRC, RTXSSRC uint32
	Slot          bool // sources change: name them in CSRC
	Passing       bool // sends others' packets under their SSRCs: see Through
	Anonymous     bool // nothing tells whose packets they are (RFC 7667, section 3.9)
	CNAME         string
	Width         int  // wanted size, 0 = any
	Loudest       bool // leaves out what is not among the loudest: see Source.Quiet
	Dead          bool
	FractionLost  float64
	Tally         Tally
	Packets       uint32 // sent, for the SR (rule C9: counted on this leg)
	Octets        uint32
	Limit         uint64 // bit/s the receiver asked for (TMMBR), 0 none

	leg     *Egress
	src     *Source // what should be shown
	sect    *Section
	info    *Info // of the source the map was made for
	m       rewrite.Map
	segs    []segment
	next    int64 // next outgoing number
	layer   int8  // being forwarded, -1 none
	target  int8  // wanted, -1 none
	epoch   uint32
	paused  bool       // resting or halted
	resting bool       // by control
	halted  bool       // the receiver has no use for it now
	left    bool       // others are chosen: see Choose
	held    bool       // the source is faster than Limit and has nothing slower
	ids     pictureIDs // of the last packet before a stop
	climb   climb      // in the layers of the encoding
	aim     Quality    // what the allocator has room for
	aimed   bool       // it has said so
	acked   bool       // a report came: the receiver knows the MID of the stream, and of it alone
	arrived bool       // a packet did, by feedback on each
	lastTS  uint32
	lastAt  clock.Time // arrival of the last forwarded packet
	asked   clock.Time // for a key frame
	askedOf int8       // of that encoding

	pacing pacing
	parity *parity

	rtxSeq  uint16
	credit  int
	resends *[resendSlots]resend
}

// Source returns what the projection shows or is about to show.
func (p *Projection) Source() *Source { return p.src }

// Attach gives the projection a source and a section. Pictures wait for a
// keyframe, which is asked for; in a slot the old source goes on until then.
func (p *Projection) Attach(now clock.Time, src *Source, sect *Section) {
	changed, opened := src != p.src, p.sect == nil && sect != nil
	p.sect, p.info = sect, nil
	if !changed {
		if opened {
			p.seek(now)
		}
		return
	}
	p.src = src
	if src == nil {
		p.stop()
		return
	}
	p.epoch = src.Epoch
	p.target, p.asked = -1, 0
	if len(p.segs) == 0 || !p.Slot {
		p.stop()
	}
	p.seek(now)
}

// Pause stops and resumes; what passes meanwhile is left out, not lost.
func (p *Projection) Pause(now clock.Time, paused bool) {
	p.wanted(now, paused, p.halted)
}

// Awake reports that nobody wishes the projection to rest.
func (p *Projection) Awake() bool { return !p.paused && !p.Dead }

// Halt is Pause by the receiver's own wish (TMMBR of zero).
func (p *Projection) Halt(now clock.Time, halted bool) {
	p.wanted(now, p.resting, halted)
}

// wanted rests while either side wishes so.
func (p *Projection) wanted(now clock.Time, resting, halted bool) {
	p.resting, p.halted = resting, halted
	paused := resting || halted || p.left || p.pacing.tripped != 0
	if p.paused == paused {
		return
	}
	p.paused = paused
	if paused {
		p.stop()
		p.target = -1
		return
	}
	p.seek(now)
}

// wantsPictures reports whether a keyframe would do any good: asking for one
// that cannot be sent on would cost every receiver quality, and, since requests
// are spaced, make a leg that is about to be ready wait for the next.
func (p *Projection) wantsPictures() bool {
	return p.leg.Ready && !p.Passing && (!p.aimed || p.aim != Nothing) && p.src != nil && !p.paused && !p.pacing.choked && !p.Dead && p.sect != nil && p.src.Video() &&
		(p.src.Info == nil || !p.table(p.src).Empty())
}

// seek asks for the keyframe to start or switch with.
func (p *Projection) seek(now clock.Time) {
	if !p.wantsPictures() {
		return
	}
	p.target = int8(p.pick(now))
	p.ask(now, p.target)
}

// ask requests the key frame of an encoding to start or switch with.
func (p *Projection) ask(now clock.Time, encoding int8) {
	p.asked, p.askedOf = now, encoding
	p.leg.Env.Up.RequestKeyframe(now, p.src.ID, uint8(max(0, encoding)))
}

// Open tells that the leg can send now: what waited for that is asked for.
func (p *Projection) Open(now clock.Time) {
	if p.src != nil && !p.shows(p.src) {
		p.seek(now)
		return
	}
	p.RequestKeyframe(now)
}

// RequestKeyframe passes on what the receiver asked for: its current layer.
func (p *Projection) RequestKeyframe(now clock.Time) {
	if !p.wantsPictures() {
		return
	}
	p.leg.Env.Up.RequestKeyframe(now, p.src.ID, uint8(max(0, p.layer)))
}

// askAgain is the pause between keyframe requests of a waiting receiver.
const askAgain = 500 * time.Millisecond

// Review looks whether another layer would be better now and asks again for
// keyframes that have not come.
func (p *Projection) Review(now clock.Time) {
	if !p.wantsPictures() {
		return
	}
	want := p.within(now, int8(p.pick(now)))
	if p.held {
		return
	}
	if want == p.layer && p.shows(p.src) {
		p.target = -1
		if p.climb.want = p.wish(); !p.stuck(now) {
			return
		}
	} else if p.target = want; want < 0 {
		return
	}
	if now.Sub(p.asked) >= askAgain || want != p.askedOf {
		p.ask(now, want)
	}
}

// shows reports whether s is what is being forwarded.
func (p *Projection) shows(s *Source) bool {
	return len(p.segs) > 0 && p.segs[len(p.segs)-1].src == s
}

// Takes reports whether packets of s concern this projection: its source, or
// in a slot the one before until the new one has its keyframe.
func (p *Projection) Takes(s *Source) bool {
	return s == p.src || (p.Slot && p.layer >= 0 && p.shows(s))
}

// Forward sends one packet of a source that the projection takes.
func (p *Projection) Forward(now clock.Time, in *graph.Packet, s *Source, out *graph.Batch) {
	if p.paused || p.held || p.Dead || p.sect == nil || s.Info == nil || (p.Loudest && p.hush(s)) {
		return
	}
	if s == p.src && s.Epoch != p.epoch {
		p.epoch = s.Epoch
		p.stop()
		p.seek(now)
	}
	// What the receiver cannot take, padding or a format it lacks, is left out.
	pt, _, codec, ok := p.table(s).PT(in.Hdr.PayloadType)
	leave := !ok || empty(in)
	switch running := int8(in.Layer) == p.layer && p.shows(s); {
	case !running && !leave && p.mayStart(now, in, s):
		p.start(in, s)
	case !running || in.ExtSeq <= p.segs[len(p.segs)-1].last:
		p.late(now, in, s, out)
		return
	case !p.follow(in, s, codec, leave):
		return
	}
	g := &p.segs[len(p.segs)-1]
	p.lastTS, p.lastAt = in.Hdr.TS+g.ts, in.Arrival
	p.send(now, in, g, in.ExtSeq+g.delta, pt, codec, out)
}

// empty reports padding alone, a publisher's bandwidth probe.
func empty(in *graph.Packet) bool { return in.Hdr.PayloadOff == in.Hdr.PayloadEnd }

// follow continues the current segment and reports whether the packet is sent.
func (p *Projection) follow(in *graph.Packet, s *Source, codec payload.Codec, leave bool) bool {
	if !leave && in.ExtSeq-p.segs[len(p.segs)-1].last > bigGap {
		p.start(in, s) // too much to keep numbers for
		return true
	}
	picture := false
	if !leave && in.Frame.Flags&layer.Known != 0 {
		sent, fresh := p.choose(in, s)
		// VP8 counts pictures, and its receivers wait for those that are missing.
		leave, picture = !sent, fresh && codec == payload.VP8
	}
	g := &p.segs[len(p.segs)-1]
	if leave { // but numbers of lost ones before it stay reserved
		g.leave(in.ExtSeq, picture)
	} else {
		if g.take(in.ExtSeq); in.ExtSeq == g.from {
			g.at = in.Hdr.TS
		}
	}
	p.next = g.next()
	return !leave
}

// bigGap is the most numbers kept free for packets that may yet be repaired.
const bigGap = 1000

// late sends a repaired or reordered packet under the number kept for it.
func (p *Projection) late(now clock.Time, in *graph.Packet, s *Source, out *graph.Batch) {
	if !in.Repaired {
		return
	}
	g := bySource(p.segs, &s.Layers[in.Layer].Hist, in.ExtSeq)
	if g == nil {
		return
	}
	pt, _, codec, ok := p.table(s).PT(in.Hdr.PayloadType)
	num, _, kept := g.number(in.ExtSeq)
	switch {
	case !ok || !kept:
	case empty(in) || !g.covers(in):
		p.fill(now, in, g, num, pt, out)
	default:
		p.send(now, in, g, num, pt, codec, out)
	}
}

// mayStart reports whether a switch to this packet's layer may happen here.
func (p *Projection) mayStart(now clock.Time, in *graph.Packet, s *Source) bool {
	switch {
	case s != p.src || in.Repaired || p.pacing.choked || !p.leg.Ready: // the keys come before the first picture
		return false
	case !s.Video():
		return true
	case !in.Keyframe:
		return false
	case p.target >= 0:
		return int8(in.Layer) == p.target
	}
	// Nothing chosen yet: take the first picture, unless a better one is known.
	pick := p.pick(now)
	if pick < 0 && (!p.aimed || int8(in.Layer) <= p.aim.Encoding) {
		pick = int(in.Layer)
	}
	return (p.layer < 0 || !p.shows(s)) && pick == int(in.Layer)
}

// start begins a segment with this packet.
func (p *Projection) start(in *graph.Packet, s *Source) {
	p.note()
	l := &s.Layers[in.Layer]
	g := segment{src: s, hist: &l.Hist, layer: in.Layer, gen: l.Gen, from: in.ExtSeq, last: in.ExtSeq}
	if len(p.segs) == 0 {
		r := p.leg.Env.Random32()
		p.next = int64(r&0x7fff) + 1<<16
		g.ts = p.leg.Env.Random32()
		p.credit = firstCredit
		p.rtxSeq = uint16(r >> 16)
		if s.Track.Keep && p.adopt(in.Hdr.SSRC) {
			p.next, g.ts = in.ExtSeq, 0
		}
	} else {
		p.join(&g, in, s)
	}
	if p.shows(s) && int8(in.Layer) < p.layer {
		p.abandon()
	}
	g.out = p.next
	g.delta = p.next - in.ExtSeq
	p.layer = int8(in.Layer)
	p.enter(in, s, &g)
	p.segs = push(p.segs, g)
	p.next++
	if p.src == s {
		p.target = -1
	}
	p.lastTS, p.lastAt = in.Hdr.TS+g.ts, in.Arrival
	p.leg.Env.ReportSoon(in.Arrival, p.leg.Leg)
}

// join goes on with the line of the segment before. Pictures run on from a key
// frame; without one they refer to each other by their ids.
func (p *Projection) join(g *segment, in *graph.Packet, s *Source) {
	prev := &p.segs[len(p.segs)-1]
	if prev.hist == g.hist && prev.gen == g.gen {
		g.ts, g.pic, g.tl0, g.keyidx, g.frames = prev.ts, prev.picture(), prev.tl0, prev.keyidx, prev.frames
		if !in.Keyframe {
			return
		}
	} else {
		g.ts = p.align(in, s, prev)
	}
	p.ids.align(in, g)
}

// adopt takes over the source's own SSRC (RFC 7667, section 3.2.1.3), false
// where the leg has another use for it or has had: then ours stays.
func (p *Projection) adopt(ssrc uint32) bool {
	if free := p.leg.Env.Free; ssrc == 0 || p.leg.Uses(ssrc) || (free != nil && !free(p.leg.Leg, ssrc)) {
		return false
	}
	p.SSRC = ssrc
	return true
}

// carried returns the extensions that pass from a source.
func (p *Projection) carried(s *Source) []plane.Ext {
	switch {
	case p.Anonymous:
		return rewrite.Nameless
	case s.Track.Mixed:
		return rewrite.Mixed
	}
	return rewrite.EndToEnd
}

// align finds the timestamp offset that continues the line: by the sender's own
// clock when two layers of one source have reports, else by arrival.
func (p *Projection) align(in *graph.Packet, s *Source, prev *segment) uint32 {
	hz := s.Clock()
	wall := p.lastTS + max(1, Ticks(in.Arrival.Sub(p.lastAt), hz))
	want := wall
	a, b := &prev.src.Layers[prev.layer], &s.Layers[in.Layer]
	if prev.src == s && a.Gen == prev.gen && a.Ref.At != 0 && b.Ref.At != 0 {
		t := b.Ref.At
		byRef := in.Hdr.TS + (a.Ref.TimeStamp(t, hz) + prev.ts - b.Ref.TS)
		if d := int32(byRef - wall); d < int32(hz) && d > -int32(hz) { // else the reports are nonsense
			want = byRef
		}
	}
	if !seqnum.Less32(p.lastTS, want) {
		want = p.lastTS + 1
	}
	return want - in.Hdr.TS
}

// send writes one packet of segment g under its number.
func (p *Projection) send(now clock.Time, in *graph.Packet, g *segment, num int64, pt uint8, codec payload.Codec, out *graph.Batch) {
	if p.leg.admit(now, p, in, g, num) {
		p.leave(now, in, g, num, pt, codec, out)
	}
}

// leave writes a media packet whose time has come.
func (p *Projection) leave(now clock.Time, in *graph.Packet, g *segment, num int64, pt uint8, codec payload.Codec, out *graph.Batch) {
	f := rtp.Fields{Marker: g.marker(in), PayloadType: pt, Seq: uint16(num), TS: in.Hdr.TS + g.ts, SSRC: p.SSRC}
	if r := p.m.RED(in.Hdr.PayloadType); r != 0 && p.repeat(now, in, g, pt) {
		f.PayloadType = r
	}
	n := p.write(now, in, g, &f, codec, -1, out)
	p.Packets++
	p.Octets += uint32(n)
	p.credit = min(p.credit+n*creditShare/100, maxCredit)
}

// table returns the translation for a source, made anew when its section or
// ours changed. Sources of one slot rarely differ in theirs.
func (p *Projection) table(s *Source) *rewrite.Map {
	if p.info != s.Info {
		p.info = s.Info
		p.m = rewrite.New(&s.Info.Exts, s.Info.Codecs, &p.sect.Exts, p.sect.Codecs, p.carried(s))
	}
	return &p.m
}

const (
	// udpMost is the longest UDP payload that passes where IPv6 has its least MTU
	// of 1280 octets (Q15). A packet that would be longer loses extensions.
	udpMost = 1280 - 40 - 8
	osnLen  = 2
)

// write appends header and payload to the batch; osn ≥ 0 makes it a
// retransmission. It returns the payload's length.
func (p *Projection) write(now clock.Time, in *graph.Packet, g *segment, f *rtp.Fields, codec payload.Codec, osn int, out *graph.Batch) int {
	e := p.leg
	hop := rewrite.Hop{TWSeq: e.twSeq, AbsSend: e.absSend(now), Frames: g.frames}
	if g.tell && in.Frame.Flags&(layer.Tells|layer.Start) != 0 {
		g.targets(in, &hop)
	}
	if !p.acked || osn >= 0 {
		hop.MID = p.sect.MID
	}
	switch t := &g.src.Track; {
	case p.Anonymous || p.Passing:
	case t.Mixed: // it contributes its CSRCs, not itself (RFC 3550, section 7.1)
		f.Sources = in.Hdr.Sources(in.Buf.B[:])
	case p.Slot:
		f.CSRC = t.SrcID
	}
	extra := e.red.size
	off, b := out.Grow(rtp.MaxHeader + extra)
	n, tw := p.m.Header(b, f, &hop, in)
	if rest := extra + osnLen + int(in.Hdr.PayloadEnd-in.Hdr.PayloadOff) + sealed; n+rest > udpMost {
		hop.Lean = true
		n, tw = p.m.Header(b, f, &hop, in)
	}
	if osn >= 0 { // RFC 4588, section 4
		b[n], b[n+1] = uint8(osn>>8), uint8(osn)
		n += 2
	}
	from := in.Hdr.PayloadOff
	if extra > 0 {
		n += e.red.put(b[n:], in.Hdr.TS)
		p.Tally.repeated = now
	}
	if g.renames() {
		var d payload.Picture
		if payload.ParsePicture(codec, in.Payload(), &d) {
			_, pic, _ := g.number(in.ExtSeq)
			n += d.Put(b[n:], in.Payload(), d.ID+pic, d.TL0PICIDX+g.tl0, d.KEYIDX+g.keyidx)
			from += uint16(d.Len)
		}
	}
	out.Shrink(off, n)
	out.RTP(e.Leg, off, n, in.Buf, from, in.Hdr.PayloadEnd)
	head := b[:n]
	if osn < 0 {
		p.Tally.frame(now, f.TS, in.Keyframe, p.Showing())
	}
	size := int(in.Hdr.PayloadEnd-in.Hdr.PayloadOff) + extra
	whole := n + int(in.Hdr.PayloadEnd-from)
	e.Packets++
	e.Octets += uint64(whole)
	if c := e.cong; c != nil {
		if (tw || c.fb.CCFB) && (p.RTXSSRC != 0 || !p.arrived) && !p.Passing && (osn < 0 || c.cluster == 0) { // what a probe repeats is no answer
			seq := f.Seq
			if osn >= 0 {
				seq = uint16(osn)
			}
			c.early.depart(now, e.twSeq, p, seq)
		}
		if osn >= 0 && c.cluster == 0 { // nor is it anything that media must make room for
			c.repairs.octets += uint64(whole)
		}
	}
	e.sent(now, p, f.SSRC, f.Seq, whole, tw)
	if osn < 0 && p.sect.FEC != 0 {
		p.protect(now, f.Seq, head, in.Buf.B[from:in.Hdr.PayloadEnd], f.TS, out)
	}
	return size
}
