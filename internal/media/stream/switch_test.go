package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// camera is a VP8 sender with three temporal layers.
type camera struct {
	src     *Source
	ssrc    uint32
	seq     int64
	ts      uint32
	picture uint16
	tl0     uint8
	keyidx  uint8
	pos     int
	asked   bool
	short   bool // picture ids of seven bits
}

// eightPictures is libvpx's cycle: the layer, and whether the picture needs the lowest only.
var eightPictures = [8]struct {
	tid  uint8
	sync bool
}{{0, false}, {2, true}, {1, true}, {2, false}, {0, false}, {2, false}, {1, false}, {2, false}}

// next makes the packets of the next picture, not numbered yet.
func (c *camera) next() (packets [][]byte) {
	key := c.asked
	if key {
		c.asked, c.pos = false, 0
		c.keyidx++
	}
	k := eightPictures[c.pos]
	c.pos = (c.pos + 1) % len(eightPictures)
	c.picture++
	if k.tid == 0 {
		c.tl0++
	}
	c.ts += 3000
	for i := range 3 {
		b := []byte{0x80, 0xF0}
		if i == 0 {
			b[0] |= 0x10
		}
		if c.short {
			b = append(b, uint8(c.picture&0x7f))
		} else {
			b = binary.BigEndian.AppendUint16(b, c.picture|0x8000)
		}
		y := k.tid<<6 | c.keyidx&0x1f
		if k.sync {
			y |= 0x20
		}
		b = append(b, c.tl0, y)
		inter := byte(1)
		if key {
			inter = 0
		}
		packets = append(packets, append(b, inter|0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xF0, 0x00))
	}
	return packets
}

type wish func(id graph.TrackID)

func (w wish) RequestKeyframe(_ clock.Time, id graph.TrackID, _ uint8) { w(id) }

// TestSWX9_IdsAdvanceOverAHundredSwitches: a slot shows two cameras in turn, at
// changing temporal layers, with packets lost and repaired on the way to us and
// the receiver's rests between. PictureID and TL0PICIDX strictly advance, one by
// one, and KEYIDX with the key frames.
func TestSWX9_IdsAdvanceOverAHundredSwitches(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		cams := [2]*camera{}
		env := &Env{Random32: rnd.Uint32, ReportSoon: func(clock.Time, graph.LegID) {}, Up: wish(func(id graph.TrackID) { cams[id].asked = true })}
		info := &Info{Codecs: []plane.Codec{{Name: "VP8", PT: 96, RTX: 97, ClockRate: 90000}}, Layers: 1, Clock: 90000}
		for i := range cams {
			cams[i] = &camera{src: NewSource(graph.TrackID(i), plane.Track{Kind: plane.Video, SrcID: uint32(i + 1)}), ssrc: uint32(i + 100), asked: true,
				seq: 1<<16 + int64(rnd.IntN(1<<16)), ts: rnd.Uint32(), picture: uint16(rnd.Uint32()), tl0: uint8(rnd.Uint32()), keyidx: uint8(rnd.Uint32()), short: seed%2 == 1}
			cams[i].src.Info = info
		}
		leg := &Egress{Env: env, Ready: true}
		p := leg.Add(1, 2)
		p.Slot = true
		p.acked = true
		sect := &Section{Codecs: []plane.Codec{{Name: "VP8", PT: 111, RTX: 112, ClockRate: 90000}}}
		pool := ring.NewPool()
		var out graph.Batch
		var last payload.Picture
		var lastTS uint32
		var lastSeq uint16
		var late []graph.Packet
		shown, switches, pictures, mask := -1, 0, 0, uint16(0x7fff)
		if seed%2 == 1 {
			mask = 0x7f
		}
		look := func(in *graph.Packet) {
			for i := range out.Sends {
				s := &out.Sends[i]
				b := append([]byte(nil), out.Header(s)...)
				if s.Src != nil {
					b = append(b, s.Src.B[s.Off:s.End]...)
				}
				var h rtp.Header
				if rtp.Parse(b, &h) != rtp.OK {
					t.Fatal("header")
				}
				var d payload.Picture
				if in.Repaired || !payload.ParsePicture(payload.VP8, b[h.PayloadOff:h.PayloadEnd], &d) {
					continue
				}
				if pictures == 0 {
					last, lastTS, lastSeq = d, h.TS-1, h.Seq-1
					last.ID, last.TL0PICIDX = d.ID-1, d.TL0PICIDX-1
				}
				if int16(h.Seq-lastSeq) <= 0 {
					t.Fatalf("seed %d: number %d after %d", seed, h.Seq, lastSeq)
				}
				lastSeq = h.Seq
				if h.TS == lastTS {
					if d.ID != last.ID {
						t.Fatalf("seed %d: picture %d inside %d", seed, d.ID, last.ID)
					}
					continue
				}
				// A picture lost as a whole keeps its id for when it comes.
				if step := (d.ID - last.ID) & mask; step == 0 || step > 3 {
					t.Fatalf("seed %d: picture id %d after %d at switch %d", seed, d.ID, last.ID, switches)
				}
				tl0 := d.TL0PICIDX - last.TL0PICIDX
				if tl0 > 2 || in.Frame.Temporal == 0 && tl0 == 0 {
					t.Fatalf("seed %d: TL0PICIDX %d after %d at layer %d, switch %d", seed, d.TL0PICIDX, last.TL0PICIDX, in.Frame.Temporal, switches)
				}
				if k := (d.KEYIDX - last.KEYIDX) & 0x1f; pictures > 0 && in.Keyframe != (k == 1) {
					t.Fatalf("seed %d: KEYIDX %d after %d, key frame %v", seed, d.KEYIDX, last.KEYIDX, in.Keyframe)
				}
				last, lastTS = d, h.TS
				pictures++
				if at := int(in.Track); at != shown {
					shown = at
					switches++
				}
			}
			out.Reset()
		}
		now := clock.Time(time.Second)
		p.Attach(now, cams[0].src, sect)
		for n := 0; switches < 101; n++ {
			if n > 20000 {
				t.Fatalf("seed %d: %d switches only", seed, switches)
			}
			switch rnd.IntN(25) {
			case 0, 1:
				p.Attach(now, cams[rnd.IntN(2)].src, sect)
			case 2:
				p.Aim(now, Quality{0, 0, int8(rnd.IntN(3))})
			case 3:
				p.Pause(now, true)
				p.Pause(now.Add(time.Millisecond), false)
			}
			p.Review(now)
			for i, c := range cams {
				for k, b := range c.next() {
					c.seq++
					buf := pool.Get()
					h := rtp.Fields{PayloadType: 96, Seq: uint16(c.seq), TS: c.ts, SSRC: c.ssrc, Marker: k == 2}
					var w rtp.Writer
					w.Begin(buf.B[:], &h, false)
					buf.N = w.End() + copy(buf.B[w.End():], b)
					in := graph.Packet{Buf: buf, Track: graph.TrackID(i), Arrival: now, ExtSeq: c.seq}
					if rtp.Parse(buf.Bytes(), &in.Hdr) != rtp.OK {
						t.Fatal("packet")
					}
					c.src.Classify(&in)
					if !in.Keyframe && rnd.IntN(60) == 0 {
						late = append(late, in)
						continue
					}
					c.src.Keep(&in)
					if p.Takes(c.src) {
						p.Forward(now, &in, c.src, &out)
					}
					look(&in)
					buf.Release()
				}
			}
			if len(late) > 2 {
				for i := range late {
					in := &late[i]
					in.Repaired = true
					src := cams[in.Track].src
					src.Keep(in)
					if p.Takes(src) {
						p.Forward(now, in, src, &out)
					}
					look(in)
					in.Buf.Release()
				}
				late = late[:0]
			}
			now = now.Add(33 * time.Millisecond)
		}
		t.Logf("seed %d: %d pictures, %d switches", seed, pictures, switches)
	}
}
