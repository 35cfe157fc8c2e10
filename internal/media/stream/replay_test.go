package stream

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/base/seqnum"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/layer/capture"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// What Chromium sent, replayed through layer selection. What comes out is judged
// twice: here by its numbers, as a receiver's depacketiser would, and in
// decode_test.go by a decoder, picture by picture.

const (
	captures   = "../layer/testdata/captures"
	replayRTX  = 200
	replaySSRC = 0x5EED
)

var (
	svcCaptures       = []string{"vp9-l3t3", "vp9-l3t3-key", "vp9-l3t3-key-dd", "av1-l1t3", "av1-l2t2", "av1-l3t3", "av1-l3t3-key"}
	simulcastCaptures = []string{"vp8-simulcast", "vp8-simulcast-dd", "h264-simulcast"}
	allCaptures       = append(append([]string{}, simulcastCaptures...), svcCaptures...)
)

func load(t testing.TB, name string) *capture.Capture {
	t.Helper()
	c, err := capture.Load(os.DirFS(captures), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asks counts requests for key frames by encoding.
type asks [MaxLayers]int

func (a *asks) RequestKeyframe(_ clock.Time, _ graph.TrackID, l uint8) { a[l]++ }

// stage replays one capture to one receiver.
type stage struct {
	t      testing.TB
	c      *capture.Capture
	src    *Source
	codec  payload.Codec
	pt     uint8
	leg    *Egress
	p      *Projection
	asks   asks
	pool   *ring.Pool
	unwrap map[uint32]*seqnum.Unwrapper
	high   [MaxLayers]int64
	out    graph.Batch
	got    []outPacket
	ext    uint8                                    // id of the dependency descriptor towards the receiver
	lost   func(encoding uint8, f *layer.Info) bool // on the way to the server
	wait   []graph.Packet                           // lost, to come late
}

// outPacket is a packet as the receiver gets it, with what it was made from.
type outPacket struct {
	hdr     rtp.Header
	raw     []byte
	payload []byte
	in      graph.Packet // its buffer is used again
	orig    []byte       // payload as it came
	at      time.Duration
}

func newStage(t testing.TB, c *capture.Capture) *stage {
	s := &stage{t: t, c: c, pool: ring.NewPool(), unwrap: map[uint32]*seqnum.Unwrapper{}, ext: 13}
	pt, mime := c.Description.Codec()
	name := strings.TrimSuffix(mime, "/90000")
	s.pt, s.codec = pt, payload.ByName(name)
	info := &Info{Codecs: []plane.Codec{{Name: name, PT: pt, ClockRate: 90000, RTX: pt + 1, Fmtp: fmtp(c, pt)}}, Layers: 1, Clock: 90000}
	info.Exts[plane.ExtDependency] = c.Description.Extension("dependency-descriptor")
	info.Exts[plane.ExtRID] = 10
	if c.Description.SSRC("f") != 0 {
		info.Layers = 3
	}
	s.src = NewSource(1, plane.Track{Kind: plane.Video})
	s.src.Info = info
	env := &Env{Random32: func() uint32 { return 0x89ABCDEF }, Up: &s.asks, ReportSoon: func(clock.Time, graph.LegID) {}}
	s.leg = &Egress{Env: env, Ready: true}
	s.p = s.leg.Add(replaySSRC, replaySSRC+1)
	sect := &Section{MID: "m", Codecs: []plane.Codec{{Name: name, PT: 111, ClockRate: 90000, RTX: 112, Fmtp: fmtp(c, pt)}}}
	sect.Exts[plane.ExtDependency] = s.ext
	sect.Exts[plane.ExtTransportCC] = 5
	s.p.acked = true
	s.p.Attach(1, s.src, sect)
	return s
}

func fmtp(c *capture.Capture, pt uint8) string {
	for _, p := range c.Description.Payloads {
		if p.PT == pt {
			return p.Fmtp
		}
	}
	return ""
}

// encoding tells whose packet it is: RIDs are q, h, f, lowest first.
func (s *stage) encoding(ssrc uint32) uint8 {
	for i, rid := range []string{"q", "h", "f"} {
		if x := s.c.Description.SSRC(rid); x != 0 && x == ssrc {
			return uint8(i)
		}
	}
	return 0
}

// base is when captures begin.
const base = clock.Time(10 * time.Second)

// parse makes the packet that the engine's ingress would; its buffer is held.
func (s *stage) parse(p capture.Packet) graph.Packet {
	buf := s.pool.Get()
	buf.N = copy(buf.B[:], p.RTP)
	in := graph.Packet{Buf: buf, Track: 1, Arrival: base.Add(p.At)}
	if rtp.Parse(buf.Bytes(), &in.Hdr) != rtp.OK {
		s.t.Fatal("capture")
	}
	in.Layer = s.encoding(in.Hdr.SSRC)
	u := s.unwrap[in.Hdr.SSRC]
	if u == nil {
		u = new(seqnum.Unwrapper)
		s.unwrap[in.Hdr.SSRC] = u
	}
	in.ExtSeq = u.Unwrap(in.Hdr.Seq) + 1<<16
	in.Exts = in.Hdr.ExtMask(buf.Bytes())
	s.src.Classify(&in)
	return in
}

// feed puts one packet in, if it is of media.
func (s *stage) feed(p capture.Packet) {
	in := s.parse(p)
	switch {
	case in.Hdr.PayloadType != s.pt:
	case s.lost != nil && s.lost(in.Layer, &in.Frame):
		in.Buf.Retain()
		s.wait = append(s.wait, in)
	default:
		s.put(&in, p.At)
	}
	in.Buf.Release()
}

func (s *stage) put(in *graph.Packet, at time.Duration) {
	s.src.Keep(in)
	s.p.Forward(in.Arrival, in, s.src, &s.out)
	s.take(in, at)
}

// repair lets what was lost come.
func (s *stage) repair(now clock.Time, at time.Duration) {
	for i := range s.wait {
		in := &s.wait[i]
		in.Repaired, in.Arrival = true, now
		s.put(in, at)
		in.Buf.Release()
	}
	s.wait = s.wait[:0]
}

// take collects what was sent.
func (s *stage) take(in *graph.Packet, at time.Duration) {
	for i := range s.out.Sends {
		x := &s.out.Sends[i]
		raw := append([]byte(nil), s.out.Header(x)...)
		if x.Src != nil {
			raw = append(raw, x.Src.B[x.Off:x.End]...)
		}
		o := outPacket{raw: raw, in: *in, at: at}
		if in.Buf != nil {
			o.orig = append(o.orig, in.Payload()...)
		}
		if rtp.Parse(raw, &o.hdr) != rtp.OK {
			s.t.Fatalf("% x", raw)
		}
		o.payload = raw[o.hdr.PayloadOff:o.hdr.PayloadEnd]
		s.got = append(s.got, o)
	}
	s.out.Reset()
}

// turn is an order of the allocator.
type turn struct {
	at time.Duration
	q  Quality
}

// run replays the whole capture, with orders in between and a review each 250 ms.
func (s *stage) run(script []turn) {
	review := time.Duration(0)
	for _, p := range s.c.Packets {
		for len(script) > 0 && script[0].at <= p.At {
			s.p.Aim(base.Add(script[0].at), script[0].q)
			script = script[1:]
		}
		for ; review <= p.At; review += 250 * time.Millisecond {
			s.src.Measure(base.Add(review))
			s.p.Review(base.Add(review))
		}
		s.feed(p)
		if len(s.wait) > 3 {
			s.repair(base.Add(p.At), p.At)
		}
	}
}

// anyScript draws orders from a seed: each a few hundred milliseconds, up and down.
func anyScript(c *capture.Capture, seed uint64) (script []turn) {
	rnd := rand.New(rand.NewPCG(seed, 9))
	for at := time.Duration(0); at < time.Duration(c.Description.Millis)*time.Millisecond; {
		q := Quality{Spatial: int8(rnd.IntN(3)), Temporal: int8(rnd.IntN(3))}
		if c.Description.SSRC("f") != 0 {
			q.Encoding, q.Spatial = int8(rnd.IntN(3)), 0
		}
		if rnd.IntN(15) == 0 {
			q = Nothing
		}
		script = append(script, turn{at, q})
		at += time.Duration(50+rnd.IntN(500)) * time.Millisecond
	}
	return script
}

func (s *stage) mediaOf(got []outPacket) (media []outPacket) {
	for _, o := range got {
		if o.hdr.SSRC == replaySSRC {
			media = append(media, o)
		}
	}
	return media
}

// judge looks at what came out as a receiver's depacketiser does.
func (s *stage) judge() error {
	got := s.mediaOf(s.got)
	if len(got) == 0 {
		return fmt.Errorf("nothing came out")
	}
	for i := range got {
		o := &got[i]
		if o.hdr.PayloadType != 111 {
			return fmt.Errorf("payload type %d", o.hdr.PayloadType)
		}
		if o.hdr.PayloadOff == o.hdr.PayloadEnd {
			return fmt.Errorf("packet %d is empty", i)
		}
		if i == 0 {
			continue
		}
		last := &got[i-1]
		if o.hdr.Seq != last.hdr.Seq+1 {
			return fmt.Errorf("number %d after %d (packet %d)", o.hdr.Seq, last.hdr.Seq, i)
		}
		switch d := int32(o.hdr.TS - last.hdr.TS); {
		case d < 0 || d > 90000*7:
			return fmt.Errorf("timestamp %+d at packet %d", d, i)
		case d == 0 && last.hdr.Marker:
			return fmt.Errorf("marker inside a picture at packet %d", i-1)
		case d != 0 && !last.hdr.Marker && !o.in.Keyframe: // a key frame of another encoding may cut one off
			return fmt.Errorf("no marker at the end of a picture, packet %d", i-1)
		}
	}
	if err := s.judgePictures(got); err != nil {
		return err
	}
	if s.src.Info.Exts[plane.ExtDependency] != 0 {
		return s.judgeDependencies(got)
	}
	return nil
}

// judgePictures wants picture ids to run on: VP8's one by one, VP9's never back;
// TL0PICIDX one by one with the pictures of the lowest temporal layer.
func (s *stage) judgePictures(got []outPacket) error {
	var last payload.Picture
	var lastTS uint32
	for i := range got {
		o := &got[i]
		var d payload.Picture
		if !payload.ParsePicture(s.codec, o.payload, &d) || !d.HasID {
			return nil // H.264 and AV1
		}
		if i > 0 && o.hdr.TS == lastTS && d.ID != last.ID {
			return fmt.Errorf("picture id %d within picture %d, packet %d", d.ID, last.ID, i)
		}
		if i > 0 && o.hdr.TS != lastTS {
			step := (d.ID - last.ID) & 0x7fff
			if s.codec == payload.VP8 && step != 1 || step == 0 || step > 100 {
				return fmt.Errorf("picture id %d after %d, packet %d", d.ID, last.ID, i)
			}
			if d.HasTL0 {
				base := uint8(0)
				if o.in.Frame.Temporal == 0 {
					base = 1
				}
				if d.TL0PICIDX != last.TL0PICIDX+base {
					return fmt.Errorf("TL0PICIDX %d after %d at temporal layer %d, packet %d", d.TL0PICIDX, last.TL0PICIDX, o.in.Frame.Temporal, i)
				}
			}
		}
		last, lastTS = d, o.hdr.TS
	}
	return nil
}

// judgeDependencies reads the descriptors as a receiver does: it knows every
// structure, and gets every frame that a frame refers to. Frames of the decode
// targets told to be served come without a hole.
func (s *stage) judgeDependencies(got []outPacket) error {
	var d layer.Dependency
	have := map[uint16]bool{}
	var lastTS uint32
	high, begun := uint16(0), false
	for i := range got {
		o := &got[i]
		b, ok := o.hdr.Ext(o.raw, s.ext)
		if !ok {
			return fmt.Errorf("no dependency descriptor in packet %d", i)
		}
		f, ok := d.Read(b)
		if !ok {
			return fmt.Errorf("descriptor % x of packet %d cannot be read", b, i)
		}
		if f.Has(layer.Key) {
			have = map[uint16]bool{}
		}
		if begun && int16(f.Frame-high) < 0 || begun && f.Frame == high && o.hdr.TS != lastTS {
			return fmt.Errorf("frame %d after %d, packet %d", f.Frame, high, i)
		}
		for k := range uint16(64) {
			if f.Refs>>k&1 != 0 && !have[f.Frame-1-k] {
				return fmt.Errorf("frame %d needs %d, which did not come (packet %d, layer %d/%d)", f.Frame, f.Frame-1-k, i, f.Spatial, f.Temporal)
			}
		}
		if f.Present&d.Active() == 0 && f.Has(layer.Known) {
			return fmt.Errorf("frame %d of layer %d/%d is of none of the targets %b told to be served", f.Frame, f.Spatial, f.Temporal, d.Active())
		}
		have[f.Frame], high, begun, lastTS = true, f.Frame, true, o.hdr.TS
	}
	return nil
}

// TestReplayRunsOn: whatever is ordered when, what comes out is one line of
// numbers, times and pictures.
func TestReplayRunsOn(t *testing.T) {
	for _, name := range allCaptures {
		t.Run(name, func(t *testing.T) {
			c := load(t, name)
			for seed := range uint64(60) {
				s := newStage(t, c)
				s.run(anyScript(c, seed))
				if err := s.judge(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				s.src.Close()
				if n := s.pool.Live(); n != 0 {
					t.Fatalf("seed %d: %d buffers are held", seed, n)
				}
			}
		})
	}
}

// seal makes a capture whose frames are noise behind what stays clear of them:
// payload descriptors, and of VP8 the first bytes, of which a key frame is known.
func seal(t *testing.T, s *stage, c *capture.Capture, seed uint64) *capture.Capture {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 5))
	x := *c
	x.Packets = nil
	for _, p := range c.Packets {
		var h rtp.Header
		if rtp.Parse(p.RTP, &h) != rtp.OK {
			t.Fatal("capture")
		}
		b := append([]byte(nil), p.RTP...)
		clear := 0
		var d payload.Picture
		var v layer.VP9
		switch body := b[h.PayloadOff:h.PayloadEnd]; {
		case s.codec == payload.VP8 && payload.ParsePicture(s.codec, body, &d):
			if clear = int(d.Len); d.Start {
				clear += 10
			}
		case s.codec == payload.VP9 && layer.ParseVP9(body, &v):
			clear = int(v.Len)
		}
		for i := int(h.PayloadOff) + clear; i < int(h.PayloadEnd); i++ {
			b[i] = byte(rnd.Uint32())
		}
		x.Packets = append(x.Packets, capture.Packet{At: p.At, RTP: b})
	}
	return &x
}
