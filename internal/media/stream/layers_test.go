package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/media/layer"
	"parley/internal/media/payload"
)

// rungsOf returns the ladder in the middle of a capture.
func (s *stage) rungsAt(at time.Duration) []Rung {
	for i := range s.c.Packets {
		if s.c.Packets[i].At > at {
			break
		}
		s.feed(s.c.Packets[i])
	}
	return s.src.Rungs(base.Add(at), nil)
}

// TestLadderOfCaptures: every operating point is offered, with its size, its
// pictures a second and its rate, as known from how the captures were made.
func TestLadderOfCaptures(t *testing.T) {
	for name, shape := range map[string]struct{ enc, s, t int }{
		"vp8-simulcast": {3, 1, 3}, "vp8-simulcast-dd": {3, 1, 3}, "vp9-l3t3": {1, 3, 3}, "vp9-l3t3-key": {1, 3, 3}, "vp9-l3t3-key-dd": {1, 3, 3},
		"av1-l1t3": {1, 1, 3}, "av1-l2t2": {1, 2, 2}, "av1-l3t3": {1, 3, 3}, "av1-l3t3-key": {1, 3, 3}, "h264-simulcast": {3, 1, 1},
	} {
		s := newStage(t, load(t, name))
		list := s.rungsAt(3400 * time.Millisecond)
		if len(list) != shape.enc*shape.s*shape.t {
			t.Errorf("%s: %d rungs: %+v", name, len(list), list)
			continue
		}
		byPoint := map[Quality]Rung{}
		for i, r := range list {
			byPoint[r.Quality] = r
			if i > 0 && r.Rate < list[i-1].Rate {
				t.Errorf("%s: %+v is cheaper than the one before", name, r)
			}
			down := shape.enc - 1 - int(r.Encoding) + shape.s - 1 - int(r.Spatial)
			fps := 25 >> (shape.t - 1 - int(r.Temporal))
			if d := int(r.Width) - 960>>down; d < -2 || d > 2 || int(r.Height) < 540>>down-2 || int(r.Height) > 540>>down+9 {
				t.Errorf("%s: %+v: want %dx%d", name, r, 960>>down, 540>>down)
			}
			if int(r.FPS) < fps*7/10-1 || int(r.FPS) > fps*13/10+1 {
				t.Errorf("%s: %+v: want %d pictures a second", name, r, fps)
			}
		}
		for q, r := range byPoint { // more layers cost more, unless lower ones are not needed
			if up, ok := byPoint[Quality{q.Encoding, q.Spatial, q.Temporal + 1}]; ok && up.Rate <= r.Rate {
				t.Errorf("%s: %+v costs no more than %+v", name, up, r)
			}
		}
	}
}

// TestAimIsReached: what is aimed at from the beginning is what comes out, and
// it costs what its rung says.
func TestAimIsReached(t *testing.T) {
	for _, name := range allCaptures {
		c := load(t, name)
		at := time.Duration(c.Description.Millis) * time.Millisecond
		for _, r := range newStage(t, c).rungsAt(at) {
			s := newStage(t, c)
			s.run([]turn{{0, r.Quality}})
			if err := s.judge(); err != nil {
				t.Errorf("%s %+v: %v", name, r.Quality, err)
			}
			if q := s.p.Showing(); q != r.Quality {
				t.Errorf("%s: shows %+v, not %+v", name, q, r.Quality)
			}
			octets := 0
			for i := range s.got {
				o := &s.got[i]
				if f := &o.in.Frame; f.Has(layer.Known) && (int8(f.Spatial) > r.Spatial || int8(f.Temporal) > r.Temporal) {
					t.Fatalf("%s %+v: a frame of %d/%d", name, r.Quality, f.Spatial, f.Temporal)
				}
				if o.at > at-time.Second {
					octets += o.in.Buf.N
				}
			}
			if rate := uint64(octets * 8); rate < r.Rate*6/10 || rate > r.Rate*16/10 {
				t.Errorf("%s %+v: %d bit/s sent", name, r, rate)
			}
			if n := s.asks[r.Encoding]; n > 2 {
				t.Errorf("%s %+v: %d key frames asked for", name, r.Quality, n)
			}
		}
	}
}

// TestNothingMeansNothing: a key frame that was asked for before there was no room for
// anything begins no picture, since what of it must wait would be dropped.
func TestNothingMeansNothing(t *testing.T) {
	s := newStage(t, load(t, "vp8-simulcast"))
	const none = 250 * time.Millisecond
	s.run([]turn{{0, Quality{Encoding: 2, Temporal: 2}}, {200 * time.Millisecond, Quality{Temporal: 2}}, {none, Nothing}})
	if len(s.got) == 0 {
		t.Fatal("nothing came out")
	}
	if last := s.got[len(s.got)-1].at; last > none {
		t.Errorf("something is sent until %v, since %v there is room for nothing", last, none)
	}
	if s.p.Showing() != Nothing {
		t.Errorf("shows %+v", s.p.Showing())
	}
}

// TestTemporalLayersChangeWithoutKeyFrames: down at once, up within two cycles
// of the layers, and nobody is asked for a key frame.
func TestTemporalLayersChangeWithoutKeyFrames(t *testing.T) {
	for _, name := range []string{"vp8-simulcast", "vp8-simulcast-dd", "vp9-l3t3", "vp9-l3t3-key-dd", "av1-l1t3", "av1-l3t3"} {
		c := load(t, name)
		s := newStage(t, c)
		top := Quality{Temporal: 2}
		if c.Description.SSRC("f") != 0 {
			top.Encoding = 2
		} else if name != "av1-l1t3" {
			top.Spatial = 2
		}
		low := Quality{top.Encoding, top.Spatial, 0}
		down, up := 600*time.Millisecond, 900*time.Millisecond // between key frames
		s.run([]turn{{0, top}, {down, low}, {up, top}})
		lastHigh, firstHigh := time.Duration(0), time.Duration(0)
		for i := range s.got {
			o := &s.got[i]
			switch hi := o.in.Frame.Temporal > 0; {
			case hi && o.at < up:
				lastHigh = o.at
			case hi && firstHigh == 0:
				firstHigh = o.at
			}
		}
		if lastHigh > down+60*time.Millisecond {
			t.Errorf("%s: the last picture of a higher layer %v after it was not wanted", name, lastHigh-down)
		}
		if firstHigh == 0 || firstHigh > up+450*time.Millisecond {
			t.Errorf("%s: the first picture of a higher layer came %v after it was wanted", name, firstHigh-up)
		}
		n := 0
		for _, a := range s.asks {
			n += a
		}
		if n > 1 { // the first picture's
			t.Errorf("%s: %d key frames asked for", name, n)
		}
		if err := s.judge(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSpatialLayerWaitsForItsKeyFrame: up only there, and it is asked for; down
// at the end of a picture, at once where the lower layers were sent, too.
func TestSpatialLayerWaitsForItsKeyFrame(t *testing.T) {
	for name, atOnce := range map[string]bool{"vp9-l3t3": true, "vp9-l3t3-key": true, "av1-l3t3": true, "av1-l2t2": true, "av1-l3t3-key": false} {
		c := load(t, name)
		s := newStage(t, c)
		down := 400 * time.Millisecond
		s.run([]turn{{0, Quality{0, 1, 2}}, {down, Quality{0, 0, 2}}, {2 * down, Quality{0, 1, 2}}})
		var last, first time.Duration
		for i := range s.got {
			o := &s.got[i]
			if o.in.Frame.Spatial != 1 {
				continue
			}
			if o.at < 2*down {
				last = o.at
			} else if first == 0 {
				first = o.at
				ok := false
				for _, x := range s.got {
					ok = ok || x.in.Hdr.TS == o.in.Hdr.TS && x.in.Keyframe
				}
				if !ok && atOnce {
					t.Errorf("%s: went up at %v, which is no key frame", name, o.at)
				}
			}
		}
		if late := last - down; atOnce && late > 60*time.Millisecond {
			t.Errorf("%s: went down after %v", name, late)
		}
		if atOnce && s.asks[0] < 2 {
			t.Errorf("%s: the key frame was not asked for", name)
		}
		if err := s.judge(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestThinnedStreamIsRepaired: what was lost on its way to us goes out under the
// number kept for it; if it is of a layer that is left out, padding does. What a
// receiver asks for again is what it was sent.
func TestThinnedStreamIsRepaired(t *testing.T) {
	for _, name := range allCaptures {
		c := load(t, name)
		for seed := range uint64(8) {
			s := newStage(t, c)
			rnd := rand.New(rand.NewPCG(seed, 3))
			s.lost = func(_ uint8, f *layer.Info) bool { return !f.Has(layer.Start|layer.Key) && rnd.IntN(30) == 0 }
			script := anyScript(c, seed)
			s.run(script)
			s.repair(s.p.lastAt, 0)
			byNum := map[uint16]*outPacket{}
			for i := range s.got {
				o := &s.got[i]
				if byNum[o.hdr.Seq] != nil {
					t.Fatalf("%s seed %d: number %d was used twice", name, seed, o.hdr.Seq)
				}
				byNum[o.hdr.Seq] = o
			}
			gaps := 0
			first := s.got[0].hdr.Seq
			for n := first; n != uint16(s.p.next); n++ {
				if byNum[n] == nil {
					gaps++
				}
			}
			// Those of an encoding that was left before they came stay open.
			if gaps > len(s.got)/50 {
				t.Errorf("%s seed %d: %d numbers of %d stay open", name, seed, gaps, len(s.got))
			}
			s.leg.RTT = time.Millisecond
			again := 0
			for n := uint16(s.p.next) - 200; n != uint16(s.p.next); n++ {
				o := byNum[n]
				s.got = s.got[:0]
				s.p.credit = maxCredit
				s.p.Resend(s.p.lastAt.Add(time.Millisecond), n, &s.out)
				in := outPacket{}
				if o != nil {
					in = *o
				}
				s.take(&in.in, 0)
				if len(s.got) == 0 {
					continue
				}
				r := &s.got[0]
				if o == nil || r.hdr.SSRC != replaySSRC+1 || r.hdr.Marker != o.hdr.Marker || r.hdr.TS != o.hdr.TS || len(r.payload) < 2 || !bytes.Equal(r.payload[2:], o.payload) {
					t.Fatalf("%s seed %d: number %d was resent as another", name, seed, n)
				}
				again++
			}
			if again == 0 {
				t.Errorf("%s seed %d: nothing could be resent", name, seed)
			}
		}
	}
}

// TestSFM5_SimulcastOfChromium: from the high encoding to the low one and back at
// key frames: SSRC same, numbers run on, timestamps within a picture of wall time,
// no RID.
func TestSFM5_SimulcastOfChromium(t *testing.T) {
	for _, name := range simulcastCaptures {
		s := newStage(t, load(t, name))
		s.run([]turn{{0, Quality{2, 0, 2}}, {time.Second, Quality{0, 0, 2}}, {2500 * time.Millisecond, Quality{2, 0, 2}}, {4 * time.Second, Quality{1, 0, 2}}})
		if err := s.judge(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var order []uint8
		for i := range s.got {
			o := &s.got[i]
			if o.hdr.SSRC != replaySSRC {
				t.Fatalf("%s: SSRC %x", name, o.hdr.SSRC)
			}
			for it := o.hdr.Exts(o.raw); it.Next(); {
				if it.ID != s.ext && it.ID != 5 {
					t.Fatalf("%s: extension %d", name, it.ID)
				}
			}
			if len(order) > 0 && order[len(order)-1] == o.in.Layer {
				continue
			}
			if order = append(order, o.in.Layer); i == 0 {
				continue
			}
			if !o.in.Keyframe {
				t.Errorf("%s: a switch without a key frame at %v", name, o.at)
			}
			// Against the last picture of the other encoding, by the clock on the wall.
			last := &s.got[i-1]
			wall, line := o.at-last.at, time.Duration(o.hdr.TS-last.hdr.TS)*time.Second/90000
			if d := line - wall; d < -40*time.Millisecond || d > 40*time.Millisecond {
				t.Errorf("%s: %v passed on the wall at the switch at %v, %v by the timestamps", name, wall, o.at, line)
			}
		}
		if !bytes.Equal(order, []byte{2, 0, 2, 1}) {
			t.Errorf("%s: encodings %v", name, order)
		}
	}
}

// TestSFM6_NumbersOfTheLegWithLayers: with layers left out, repairs and padding
// the transport-wide number is one counter without a gap; payload types and
// extension ids are the leg's.
func TestSFM6_NumbersOfTheLegWithLayers(t *testing.T) {
	for _, name := range []string{"vp8-simulcast", "av1-l3t3"} {
		c := load(t, name)
		s := newStage(t, c)
		rnd := rand.New(rand.NewPCG(4, 4))
		s.lost = func(_ uint8, f *layer.Info) bool { return !f.Has(layer.Key) && rnd.IntN(15) == 0 }
		q := Quality{Temporal: 0, Spatial: 1}
		if c.Description.SSRC("f") != 0 {
			q = Quality{Encoding: 2}
		}
		s.run([]turn{{0, q}})
		for n := uint16(s.p.next) - 20; n != uint16(s.p.next); n++ {
			s.p.Resend(s.p.lastAt, n, &s.out)
		}
		s.take(&s.got[0].in, 0)
		fills, rtx := 0, 0
		for i := range s.got {
			o := &s.got[i]
			tw, ok := o.hdr.Ext(o.raw, 5)
			if !ok || int(tw[0])<<8|int(tw[1]) != i {
				t.Fatalf("%s: transport-wide number % x of packet %d", name, tw, i)
			}
			switch {
			case o.hdr.SSRC == replaySSRC+1 && o.hdr.PayloadType == 112:
				rtx++
			case o.hdr.SSRC != replaySSRC || o.hdr.PayloadType != 111:
				t.Fatalf("%s: SSRC %x type %d", name, o.hdr.SSRC, o.hdr.PayloadType)
			case o.hdr.PayloadOff == o.hdr.PayloadEnd:
				fills++
			}
		}
		if fills == 0 || rtx == 0 {
			t.Errorf("%s: %d fillings, %d repairs", name, fills, rtx)
		}
	}
}

// TestSFM12_SealedLayers: with payloads that are noise but for what the formats
// leave clear, layers change by the dependency descriptor all the same, and what
// comes out is, byte by byte, what came in.
func TestSFM12_SealedLayers(t *testing.T) {
	for _, name := range []string{"av1-l3t3", "av1-l3t3-key", "vp9-l3t3-key-dd", "vp8-simulcast-dd", "vp8-simulcast", "vp9-l3t3"} {
		c := load(t, name)
		for seed := range uint64(5) {
			open, s := newStage(t, c), newStage(t, c)
			s.c = seal(t, s, c, seed)
			s.src.Track.Encrypted = true
			script := anyScript(c, seed)
			open.run(script)
			s.run(script)
			if err := s.judge(); err != nil {
				t.Fatalf("%s seed %d: %v", name, seed, err)
			}
			if len(s.got) != len(open.got) {
				t.Fatalf("%s seed %d: %d packets, %d if they are not encrypted", name, seed, len(s.got), len(open.got))
			}
			for i := range s.got {
				o := &s.got[i]
				skip := 0 // descriptors are the packet's, not the frame's
				var d payload.Picture
				if payload.ParsePicture(s.codec, o.payload, &d) {
					skip = int(d.Len)
				}
				if o.hdr.Seq != open.got[i].hdr.Seq || !bytes.Equal(o.payload[skip:], o.orig[skip:]) {
					t.Fatalf("%s seed %d: packet %d was changed", name, seed, i)
				}
				if o.hdr.SSRC == o.in.Hdr.SSRC || o.hdr.PayloadType == o.in.Hdr.PayloadType {
					t.Fatalf("%s: the header of packet %d is the publisher's", name, i)
				}
			}
		}
	}
}
