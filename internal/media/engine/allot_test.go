package engine_test

import (
	"fmt"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/plane"
)

// camera is a publisher of three encodings by RID that answers requests for
// keyframes, at what a browser gives them: 150, 500 and 1700 kbit/s.
type camera struct {
	r    *room
	p    *peer
	enc  [3]*pub
	on   [3]bool
	seen int
	n    int
	keys int // keyframes of the best encoding
}

var cameraBytes = [3]int{620, 2080, 7000} // a frame, 30 of them a second

func newCamera(r *room, shard int) *camera {
	m := pubMedia(plane.Video)
	m.Sections[0].Recv.Layers = []plane.Layer{{RID: "q"}, {RID: "h"}, {RID: "f"}}
	p := r.join(shard, m)
	x := p.prepare("0", plane.Video, 0)
	x.track.Source = "camera"
	p.announce(x)
	c := &camera{r: r, p: p, on: [3]bool{true, true, true}}
	for i, rid := range []string{"q", "h", "f"} {
		y := *x
		y.ssrc, y.seq, y.ts = uint32(0xA0000+16*r.track+i), uint16(1000*i), uint32(77777*i)
		y.ext = map[uint8][]byte{pubExts[plane.ExtRID]: []byte(rid)}
		c.enc[i] = &y
	}
	return c
}

// frame sends one picture of each encoding that is on.
func (c *camera) frame() {
	for i, x := range c.enc {
		key := asked(x, c.seen) || x.seq == uint16(1000*i)
		x.ts += 3000
		if !c.on[i] {
			continue
		}
		if key && i == 2 {
			c.keys++
		}
		for left := cameraBytes[i]; left > 0; left -= 1000 {
			b := make([]byte, min(left, 1000))
			copy(b, map[bool][]byte{true: vp8Key, false: vp8Inter}[key])
			b[len(b)-1] = byte('0' + i)
			if left < cameraBytes[i] {
				b[0] = 0x00 // goes on
			}
			x.send(b, left <= 1000)
		}
	}
	c.seen = len(c.p.got)
	c.n++
}

// screened is a receiver whose budget is what it says itself (REMB).
func screened(r *room, shard, n int) *peer {
	var m plane.LegMedia
	c := subVP8
	c.TWCC, c.REMB = false, true
	for i := range n {
		m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint("s", i), Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{c}}})
	}
	return r.join(shard, m)
}

func (p *peer) remb(rate uint64) {
	p.rtcp(&prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 77, Bitrate: float32(rate), SSRCs: []uint32{0x5000}})
}

// stage is cameras that run and receivers with budgets.
type stage struct {
	*room
	cams   []*camera
	budget map[*peer]uint64
}

func (s *stage) play(d time.Duration) {
	for i := 0; i < int(d*30/time.Second); i++ {
		for _, c := range s.cams {
			c.frame()
		}
		if i%6 == 0 {
			for p, b := range s.budget {
				p.remb(b)
			}
		}
		s.run(time.Second / 30)
	}
}

// shows lists which encodings a receiver was sent of an SSRC, one a frame, from
// packet number from on.
func (p *peer) shows(ssrc uint32, from int) (frames []byte, rate int, next int) {
	all := p.rtpGot(ssrc)
	for _, q := range all[from:] {
		rate += 8 * len(q.Payload)
		if q.Marker {
			frames = append(frames, q.Payload[len(q.Payload)-1])
		}
	}
	return frames, rate, len(all)
}

// switches counts changes of encoding.
func switches(frames []byte) (n int) {
	for i := 1; i < len(frames); i++ {
		if frames[i] != frames[i-1] {
			n++
		}
	}
	return n
}

// TestSFM8_BudgetLowersThisLegOnly: a receiver whose budget falls to 300 kbit/s
// gets a lower encoding within a second, stays there for 30 s, and has the best
// one back within 10 s; the other receiver and the publisher notice nothing.
func TestSFM8_BudgetLowersThisLegOnly(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			s := &stage{room: newRoom(t, shards), budget: map[*peer]uint64{}}
			s.cams = append(s.cams, newCamera(s.room, 0))
			v, w := screened(s.room, shards-1, 1), s.subscriber(shards-1, 1, plane.Video)
			sv := v.subscribe(s.cams[0].enc[0], plane.Subscription{})
			sw := w.subscribe(s.cams[0].enc[0], plane.Subscription{})
			s.budget[v] = 3_000_000
			s.play(4 * time.Second)
			_, _, from := v.shows(sv.SSRC, 0)
			_, _, fromW := w.shows(sw.SSRC, 0)
			s.play(2 * time.Second)
			frames, _, from := v.shows(sv.SSRC, from)
			if len(frames) < 59 || switches(frames) != 0 || frames[0] != '2' {
				t.Fatalf("with room for all: %s", frames)
			}
			s.budget[v] = 300_000
			s.play(time.Second)
			_, _, from = v.shows(sv.SSRC, from)
			s.play(30 * time.Second)
			frames, rate, from := v.shows(sv.SSRC, from)
			if len(frames) < 890 || switches(frames) != 0 || frames[0] != '0' || rate/30 > 300_000 {
				t.Errorf("squeezed: %d frames, %d switches, %d bit/s", len(frames), switches(frames), rate/30)
			}
			keys := s.cams[0].keys
			s.budget[v] = 3_000_000
			s.play(10 * time.Second)
			frames, _, _ = v.shows(sv.SSRC, from)
			if len(frames) < 295 || frames[len(frames)-1] != '2' || switches(frames) > 2 {
				t.Errorf("lifted: %s", frames)
			}
			if n := s.cams[0].keys - keys; n > 1 {
				t.Errorf("%d keyframes for one switch", n)
			}
			frames, _, _ = w.shows(sw.SSRC, fromW)
			if len(frames) < 42*30 || switches(frames) != 0 {
				t.Errorf("the other receiver: %d frames, %d switches", len(frames), switches(frames))
			}
		})
	}
}

// TestAFreshEncodingIsNotCheap: what is measured of an encoding that begins grows
// from nothing. Nobody is sent it for that whose path is too narrow for the whole
// of it, and who has room for it gets it at once.
func TestAFreshEncodingIsNotCheap(t *testing.T) {
	s := &stage{room: newRoom(t, 1), budget: map[*peer]uint64{}}
	c := newCamera(s.room, 0)
	s.cams, c.on[2] = append(s.cams, c), false
	v, w := screened(s.room, 0, 1), screened(s.room, 0, 1)
	sv, sw := v.subscribe(c.enc[0], plane.Subscription{}), w.subscribe(c.enc[0], plane.Subscription{})
	s.budget[v], s.budget[w] = 900_000, 3_000_000
	s.play(4 * time.Second)
	_, _, atV := v.shows(sv.SSRC, 0)
	_, _, atW := w.shows(sw.SSRC, 0)
	c.on[2] = true
	s.play(5 * time.Second)
	got, _, _ := v.shows(sv.SSRC, atV)
	if n := switches(got); n > 0 || got[0] != '1' {
		t.Errorf("%d switches at 900 kbit/s: %s", n, got)
	}
	got, _, _ = w.shows(sw.SSRC, atW)
	if n := switches(got); n != 1 || got[45] != '2' {
		t.Errorf("%d switches at 3 Mbit/s, or late: %s", n, got)
	}
}
