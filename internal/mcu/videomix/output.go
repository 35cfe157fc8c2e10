package videomix

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/videochild"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

// maxPayload leaves room for a header with 15 contributors and what legs add
// (extensions, SRTP) below 1,280 bytes of IPv6.
const maxPayload = 1100

// output is one receiver's stream of packets.
type output struct {
	mcu.Output
	limit  uint64 // bit/s its receivers can take, 0: no limit
	rate   limiter
	stream *stream
	begun  bool // has had a keyframe of this stream

	split *payload.Splitter
	seq   uint16
	base  uint32     // RTP timestamp of start
	start clock.Time // the instant base stands for
	last  clock.Time // of the last picture
	line  timeline

	csrc  []uint32
	told  []plane.Contributor
	stats plane.MixStats
	mem   []byte
	out   [][]byte

	at            clock.Time // of the last stats
	bytes, frames uint64
}

func newOutput(now clock.Time, out mcu.Output) *output {
	return &output{
		Output: out, seq: uint16(ids.Random32()), base: ids.Random32(), start: now, at: now,
		split: payload.NewSplitter(payload.ByName(out.Codec.Name), maxPayload, uint16(ids.Random32())),
	}
}

// size is the picture wanted, before any grade or pace makes it smaller.
func (o *output) size() (w, h, fps int) {
	w, h, fps = o.Width, o.Height, o.FPS
	if w <= 0 || h <= 0 {
		w, h = 1280, 720
	}
	if fps <= 0 || fps > 30 {
		fps = 30
	}
	return min(max(w, 64), 1920) &^ 1, min(max(h, 64), 1920) &^ 1, fps
}

// bound is the lower of what was asked for and what receivers can take.
func (o *output) bound() uint64 {
	switch {
	case o.Rate == 0:
		return o.limit
	case o.limit == 0:
		return o.Rate
	}
	return min(o.Rate, o.limit)
}

// maxNAL is set for receivers that take H.264 in whole units only (RFC 6184,
// packetization-mode 0 is the default).
func (o *output) maxNAL() int {
	if o.Codec.Name == "H264" && !strings.Contains(o.Codec.Fmtp, "packetization-mode=1") {
		return maxPayload
	}
	return 0
}

// packets makes the packets of one coded picture. All but the numbers is shared
// with the stream's other outputs.
func (o *output) packets(c *videochild.Coded, at clock.Time, ts uint32) [][]byte {
	parts := o.split.Split(c.Data, c.Key, c.W, c.H)
	n := 0
	for _, p := range parts {
		n += 12 + 4*len(o.csrc) + len(p)
	}
	o.mem, o.out = slices.Grow(o.mem[:0], n), o.out[:0]
	for i, p := range parts {
		b := len(o.mem)
		m := o.Codec.PT
		if i == len(parts)-1 {
			m |= 0x80
		}
		o.mem = append(o.mem, 0x80|byte(len(o.csrc)), m)
		o.mem = binary.BigEndian.AppendUint16(o.mem, o.seq)
		o.mem = binary.BigEndian.AppendUint32(o.mem, ts)
		o.mem = binary.BigEndian.AppendUint32(o.mem, o.SSRC)
		for _, s := range o.csrc {
			o.mem = binary.BigEndian.AppendUint32(o.mem, s)
		}
		o.mem = append(o.mem, p...)
		o.out = append(o.out, o.mem[b:len(o.mem):len(o.mem)])
		o.seq++
	}
	o.bytes += uint64(len(o.mem))
	o.frames++
	if c.Key {
		o.stats.Keyframes++
	}
	o.stats.Width, o.stats.Height, o.last = c.W, c.H, at
	return o.out
}

// stamp is the RTP timestamp of an instant, at 90 kHz (RFC 6184 and others).
func (o *output) stamp(at clock.Time) uint32 {
	return o.base + uint32(int64(at.Sub(o.start))*9/100_000)
}

// second keeps the statistics and reports that a second has gone by.
func (o *output) second(now clock.Time) bool {
	d := now.Sub(o.at)
	if d < time.Second {
		return false
	}
	o.stats.Bitrate = uint64(float64(o.bytes*8) / d.Seconds())
	o.stats.FPS = float64(o.frames) / d.Seconds()
	o.at, o.bytes, o.frames = now, 0, 0
	return true
}

// timeline finds the instants of a source's timestamps: the earliest arrival seen
// is the line, since packets are late but never early; it may rise slowly so that
// clocks which drift are followed.
type timeline struct {
	begun bool
	ts    uint32
	media time.Duration // of ts since the first
	line  clock.Time    // instant of media 0
}

func (t *timeline) instant(now clock.Time, ts uint32) clock.Time {
	if !t.begun || int32(ts-t.ts) > 10*90000 || int32(ts-t.ts) < -90000 {
		*t = timeline{begun: true, ts: ts, line: now}
		return now
	}
	t.media += time.Duration(int32(ts-t.ts)) * time.Second / 90000
	t.ts = ts
	if d := now.Sub(t.line.Add(t.media)); d < 0 {
		t.line = t.line.Add(d)
	} else {
		t.line = t.line.Add(min(d/500, 20*time.Microsecond))
	}
	return t.line.Add(t.media)
}
