package node

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/picture"
	"parley/internal/mcu/videomix"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/transport/dtls"
	"parley/internal/worker"
)

// lens is a leg that sends one colour and hears RTCP.
type lens struct {
	mixLeg
	codec payload.Codec
	units [][]byte
	split *payload.Splitter
	n     int
	fresh bool // begin again with the keyframe
}

func (l *lens) send() {
	if l.fresh {
		l.n, l.fresh = 0, false
	}
	i := l.n % len(l.units)
	parts := l.split.Split(l.units[i], i == 0, 320, 180)
	for k, p := range parts {
		b := []byte{0x80, l.mixLeg.codec.PT}
		if k == len(parts)-1 {
			b[1] |= 0x80
		}
		b = binary.BigEndian.AppendUint16(b, l.seq)
		b = binary.BigEndian.AppendUint32(b, l.ts)
		b = binary.BigEndian.AppendUint32(b, l.ssrc)
		l.inj.Inject([][]byte{append(b, p...)})
		l.seq++
	}
	l.ts += 3000
	l.n++
}

// asked counts the keyframes a lens was asked for.
func (l *lens) asked() (n int) {
	_, cs := l.heard()
	for _, c := range cs {
		var p rtcp.Packet
		for it := rtcp.Parse(c); it.Next(&p); {
			if p.Type == rtcp.TypePSFB {
				n++
			}
		}
	}
	return n
}

func coded(t *testing.T, c payload.Codec, col picture.Color) (out [][]byte) {
	t.Helper()
	e, err := videocodec.NewEncoder(videocodec.Settings{Codec: c, Width: 320, Height: 180, Rate: 300_000, FPS: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := picture.New(320, 180)
	f.Fill(col)
	for i := range 30 {
		f.Sub(picture.Rect{X: 2 * i, Y: 20, W: 16, H: 16}).Fill(picture.White)
		b, _, err := e.Encode(f, 3000, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			out = append(out, slices.Clone(b))
		}
	}
	return out
}

func newPictureHouse(t *testing.T) *mixHouse {
	t.Helper()
	identity, err := dtls.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewSystem()
	pool, err := worker.New(worker.Config{UDP: netip.MustParseAddrPort("127.0.0.1:0"), Workers: 1, Identity: identity, Sink: quietSink{}, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	h := &mixHouse{Pool: pool, t: t, lib: codec.Open(codec.Options{}), room: plane.MixRoom{Conf: mixConf, CNAME: "the-mixer"}}
	h.mix = mcu.New(mcu.Config{Plane: pool, Wires: pool, Now: clk.Now, Anchor: clk.Anchor(), Codecs: h.lib, Video: videomix.NewMaker(videomix.Config{Nice: 5})})
	t.Cleanup(func() {
		h.mix.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

// MIX-8 through engine, link and mixer: a VP8 and an H.264 camera come to a
// viewer as one picture that names both; the viewer's PLI brings a keyframe of the
// mixer's and reaches neither camera.
func TestMIX8_ThroughTheEngine(t *testing.T) {
	h := newPictureHouse(t)
	red, blue := picture.RGB(200, 40, 40), picture.RGB(40, 40, 200)
	var cams []*lens
	for i, c := range []struct {
		name  string
		codec payload.Codec
		plane plane.Codec
		col   picture.Color
	}{{"a", payload.VP8, plane.Codec{Name: "VP8", PT: 96, ClockRate: 90000, PLI: true}, red},
		{"b", payload.H264, plane.Codec{Name: "H264", PT: 97, ClockRate: 90000, PLI: true, Fmtp: "profile-level-id=42e01f;packetization-mode=1"}, blue}} {
		l := &lens{codec: c.codec, units: coded(t, c.codec, c.col), split: payload.NewSplitter(c.codec, 1100, 1)}
		l.mixLeg = mixLeg{h: h, name: c.name, conn: ids.Connection("conn_" + c.name), codec: c.plane, ssrc: uint32(0x100 + i), id: uint32(0xa0 + i), seq: 100}
		var err error
		l.inj, err = h.OpenInside(mixConf, l.conn, l)
		h.must(err)
		h.must(h.Configure(l.conn, plane.LegMedia{Rev: 1, CNAME: "server", RTCPRsize: true, Sections: []plane.Section{
			{MID: "0", Kind: plane.Video, Recv: &plane.Recv{Codecs: []plane.Codec{c.plane}, Layers: []plane.Layer{{SSRC: l.ssrc}}}}}}))
		h.must(h.Publish(plane.Track{Conf: mixConf, Conn: l.conn, Track: ids.Track(c.name), MID: "0", Kind: plane.Video, Source: "camera", CNAME: "alias-" + c.name, SrcID: l.id}))
		h.room.Sources = append(h.room.Sources, plane.MixSource{
			Track: ids.Track(c.name), Kind: plane.Video, Source: "camera", Device: ids.Device(c.name), SrcID: l.id, CNAME: "alias-" + c.name, Name: c.name, Codec: c.plane,
		})
		cams = append(cams, l)
	}
	h.mix.Room(h.room)
	vp8 := plane.Codec{Name: "VP8", PT: 100, ClockRate: 90000, PLI: true}
	v := &mixLeg{h: h, name: "viewer", conn: "conn_viewer"}
	var err error
	v.inj, err = h.OpenInside(mixConf, v.conn, v)
	h.must(err)
	h.must(h.Configure(v.conn, plane.LegMedia{Rev: 1, CNAME: "server", RTCPRsize: true, Sections: []plane.Section{
		{MID: "0", Kind: plane.Video, Send: &plane.Send{Codecs: []plane.Codec{vp8}, SSRC: 0xf0}, Recv: nil}}}))
	h.must(h.mix.Start(plane.MixOutput{Conf: mixConf, Track: "mix", Kind: plane.Video, Codec: vp8, Layout: picture.Grid, Width: 640, Height: 360, Names: true}))
	h.must(h.Subscribe(plane.Subscription{Conf: mixConf, Sub: "sub_mix", Track: "mix", Conn: v.conn, MID: "0", SSRC: 0xf0}))

	asm := payload.NewAssembler(payload.VP8)
	dec, err := videocodec.NewDecoder(payload.VP8)
	h.must(err)
	defer dec.Close()
	taken, keys := 0, 0
	near := func(f *picture.Frame, x int, c picture.Color) bool {
		d := int(f.Y[150*f.YS+x]) - int(c.Y)
		u := int(f.U[75*f.CS+x/2]) - int(c.U)
		return d*d < 200 && u*u < 200
	}
	both := false
	look := func() {
		ps, _ := v.heard()
		for _, p := range ps[taken:] {
			list, hd := contributors(t, p)
			if hd.SSRC != 0xf0 || hd.PayloadType != 100 {
				t.Fatalf("%+v", hd)
			}
			both = both && len(list) == 2 && list[0] == 0xa0 && list[1] == 0xa1
			asm.Push(1, hd.Seq, hd.TS, hd.Marker, p[hd.PayloadOff:hd.PayloadEnd])
			for {
				u, ok := asm.Pop(1)
				if !ok {
					break
				}
				f, err := dec.Decode(u.Data)
				h.must(err)
				if u.Key {
					keys++
				}
				both = f != nil && f.W == 640 && near(f, 160, red) && near(f, 480, blue) && len(list) == 2
			}
		}
		taken = len(ps)
	}
	film := func(what string, done func() bool) {
		t.Helper()
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		seen := [2]int{}
		for range 30 * 30 {
			for i, c := range cams {
				if n := c.asked(); n > seen[i] {
					seen[i], c.fresh = n, true
				}
				c.send()
			}
			<-tick.C
			if look(); done() {
				return
			}
		}
		t.Fatalf("%s: not within 30 s", what)
	}
	film("both cameras in one picture", func() bool { return both })
	asked, before := cams[0].asked()+cams[1].asked(), keys
	pli := []byte{0x81, rtcp.TypePSFB, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0xf0}
	v.inj.Inject([][]byte{pli})
	film("a keyframe", func() bool { return keys > before })
	for range 10 { // and a while longer, for anything that might go upstream
		film("more", func() bool { return true })
	}
	if n := cams[0].asked() + cams[1].asked(); n != asked {
		t.Errorf("%d requests reached the cameras", n-asked)
	}
	var hd rtp.Header
	ps, _ := v.heard()
	for i, last := 0, uint16(0); i < len(ps); i++ {
		if rtp.Parse(ps[i], &hd); i > 0 && hd.Seq != last+1 {
			t.Fatalf("packet %d: %d after %d", i, hd.Seq, last)
		}
		last = hd.Seq
	}
}
