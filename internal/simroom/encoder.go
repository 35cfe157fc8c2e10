package simroom

import (
	"encoding/binary"
	"fmt"
	"time"

	"parley/internal/base/clock"
)

const (
	frameEvery = time.Second / 30
	keyFactor  = 9    // a keyframe is as large as so many mean pictures: the most that libvpx is allowed in calls
	partMax    = 1130 // payload bytes of a packet
	// minKeyEvery is how long after a request for a keyframe browsers do not heed
	// another.
	minKeyEvery = 300 * time.Millisecond
	// An encoding is on with a third of its rate, and comes back with a fifth more.
	leastShare, backShare = 0.35, 0.42
)

// Temporal structure of VP8 with three layers, a cycle of four pictures; of the
// bits the base gets 40 %, the middle 20 %, the top 40 %.
var cycle = [4]struct {
	tid   uint8
	sync  bool // refers to the base only
	share float64
}{{0, false, 1.6}, {2, true, 0.8}, {1, true, 0.8}, {2, false, 0.8}}

// videoSource is a simulcast encoder.
type videoSource struct {
	track   *track
	layers  []encoding
	next    clock.Time
	wantKey bool
	lastAsk clock.Time
	frame   uint32
	p       *Peer
	Keys    int
}

// encoding is one layer of it.
type encoding struct {
	sender
	Kbit    float64 // at most
	cur     float64 // at present
	Off     bool    // by wish of the server or for want of uplink
	unwant  bool
	picture uint16
	tl0     uint8
	debt    float64 // bytes a keyframe took beyond the mean, to be saved again
	pos     int     // in the cycle
	started bool
	below   int // encodings above it, each twice as wide
}

func newVideoSource(p *Peer, m Media) *videoSource {
	v := &videoSource{p: p, next: p.room.now.Add(time.Duration(p.rng.Int64N(int64(frameEvery)))), wantKey: true}
	v.layers = make([]encoding, len(m.Layers))
	for i := range v.layers {
		e := &v.layers[i]
		e.Kbit, e.cur, e.below = m.Layers[i], m.Layers[i], len(m.Layers)-1-i
		e.picture, e.tl0 = uint16(p.rng.IntN(1<<15)), uint8(p.rng.IntN(256))
		base := uint32(p.leg)<<8 | 0xB0000000
		e.sender = sender{ssrc: base + uint32(i)*2 + 16, rtx: base + uint32(i)*2 + 17, mid: "v", pt: upVP8, rtxPT: upRTX, hz: 90000,
			seq: uint16(p.rng.Uint32()), tsOff: p.rng.Uint32()}
		if len(v.layers) > 1 {
			e.rid = fmt.Sprint("r", i)
		}
		p.Up.carry(e.ssrc, e.rtx, true)
	}
	return v
}

// rate is what all encodings that are on make, in kbit/s.
func (v *videoSource) rate() (kbit float64) {
	for i := range v.layers {
		if !v.layers[i].Off {
			kbit += v.layers[i].cur
		}
	}
	return max(kbit, v.layers[0].cur)
}

// make encodes a picture of every encoding.
func (v *videoSource) make(now clock.Time, u *Publisher) {
	v.next = v.next.Add(frameEvery)
	v.frame++
	u.shed(now)
	key := v.wantKey
	for i := range v.layers { // one that comes back makes all start anew
		key = key || !v.layers[i].Off && !v.layers[i].started
	}
	if key {
		v.wantKey = false
		v.Keys++
	}
	for i := range v.layers {
		e := &v.layers[i]
		switch {
		case e.Off:
			e.started = false
			continue
		case len(u.queue) > 400: // the encoder leaves pictures out when its pacer is full
			continue
		}
		e.encode(now, u, uint8(i), v.frame, key)
		e.started = true
	}
}

func (e *encoding) encode(now clock.Time, u *Publisher, layer uint8, number uint32, key bool) {
	mean := e.cur * 1000 / 8 * frameEvery.Seconds()
	size := mean * cycle[e.pos].share * (0.8 + 0.4*u.peer.rng.Float64())
	if key {
		e.pos = 0
		size = mean * keyFactor
		e.debt += size - mean
	} else {
		save := min(e.debt, size*0.3)
		e.debt -= save
		size -= save
	}
	c := &cycle[e.pos]
	e.picture = (e.picture + 1) & 0x7fff
	if c.tid == 0 {
		e.tl0++
	}
	e.pos = (e.pos + 1) % len(cycle)
	n := int(size)
	parts := (n + partMax - 1) / partMax
	for i := range parts {
		var b []byte
		b = e.descriptor(b, i == 0, c.tid, c.sync || key)
		if i == 0 {
			b = append(b, vp8Header(key, 1280>>e.below, 720>>e.below)...)
		}
		clear := len(b)
		b = append(b, make([]byte, max(truthLen, n/parts-len(b)))...)
		if u.noise != nil {
			_, _ = u.noise.Read(b[clear:])
		}
		t := truth{track: uint8(u.peer.leg), layer: layer, part: uint16(i), parts: uint16(parts), number: number, at: now}
		t.put(b)
		u.VideoBytes += uint64(len(b))
		if key {
			u.KeyBytes += uint64(len(b))
		}
		u.queue = append(u.queue, outgoing{s: &e.sender, payload: b, ts: e.stamp(now), marker: i == parts-1, osn: -1, level: -1})
	}
}

// descriptor writes a VP8 payload descriptor with all ids (RFC 7741, section 4.2).
func (e *encoding) descriptor(b []byte, first bool, tid uint8, sync bool) []byte {
	b0 := uint8(0x80)
	if first {
		b0 |= 0x10
	}
	b = append(b, b0, 0xE0)
	b = binary.BigEndian.AppendUint16(b, 0x8000|e.picture)
	t := tid << 6
	if sync {
		t |= 0x20
	}
	return append(b, e.tl0, t|e.tl0&0x1f)
}

// vp8Header is the payload header of RFC 7741, section 4.3; keyframes go on
// with the start code and a size (RFC 6386, section 9.1).
func vp8Header(key bool, width, height int) []byte {
	if key {
		return []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(width), byte(width >> 8), byte(height), byte(height >> 8)}
	}
	return []byte{0x11, 0, 0}
}

// ask takes a request for a keyframe.
func (v *videoSource) ask(now clock.Time) {
	if v.lastAsk == 0 || now.Sub(v.lastAsk) >= minKeyEvery {
		v.wantKey, v.lastAsk = true, now
	}
}

// shed splits the uplink's room over the encodings, lowest first, as browsers
// do: each gets what it can use, and one that there is too little for is off.
func (u *Publisher) shed(now clock.Time) {
	v := u.Video
	room := 1e12
	if u.ccBWE != nil {
		room = float64(u.ccBWE.Target())/1000 - 50
	}
	for i := range v.layers {
		e := &v.layers[i]
		need := e.Kbit * leastShare
		if e.Off && !e.unwant {
			need = e.Kbit * backShare
		}
		was := e.Off
		e.Off = e.unwant || (i > 0 && room < need)
		if e.Off {
			if !was {
				u.Sheds++
			}
			continue
		}
		e.cur = min(e.Kbit, max(room, 0.2*e.Kbit))
		room -= e.cur
	}
}
