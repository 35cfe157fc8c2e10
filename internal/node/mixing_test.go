package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/transport/dtls"
	"parley/internal/worker"
)

// mixConf is the conference of the tests here.
const mixConf = ids.Conference("conf_mixing")

// mixHouse is the media side with a mixer, and legs that are inside links: what
// they are sent is what a browser or a phone would decrypt.
type mixHouse struct {
	*worker.Pool
	t    *testing.T
	mix  *mcu.Server
	lib  *codec.Library
	legs []*mixLeg
	room plane.MixRoom
}

type quietSink struct{}

func (quietSink) HandleMedia(plane.Event) {}

// mixLeg sends a tone and hears a mix.
type mixLeg struct {
	h     *mixHouse
	name  string
	ssrc  uint32
	id    uint32 // conference-wide source id
	conn  ids.Connection
	inj   plane.Injector
	codec plane.Codec
	out   ids.Track
	hz    float64
	phase float64
	seq   uint16
	ts    uint32
	enc   codec.Encoder
	quiet bool

	mu   sync.Mutex
	rtp  [][]byte // guarded by mu
	rtcp [][]byte // guarded by mu
}

// HandleInside implements plane.Inside.
func (l *mixLeg) HandleInside(packets [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range packets {
		if b = slices.Clone(b); rtcp.Mux(b) {
			l.rtcp = append(l.rtcp, b)
		} else {
			l.rtp = append(l.rtp, b)
		}
	}
}

func (l *mixLeg) heard() (media, control [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rtp), slices.Clone(l.rtcp)
}

func newMixHouse(t *testing.T, shards int) *mixHouse {
	identity, err := dtls.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewSystem()
	pool, err := worker.New(worker.Config{
		UDP: netip.MustParseAddrPort("127.0.0.1:0"), Workers: shards, Identity: identity, Sink: quietSink{}, Clock: clk,
		Caps: worker.Caps{LinksPerShard: map[bool]int{true: 2}[shards > 1]},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	lib := codec.Open(codec.Options{})
	h := &mixHouse{Pool: pool, t: t, lib: lib, room: plane.MixRoom{Conf: mixConf, CNAME: "the-mixer"}}
	h.mix = mcu.New(mcu.Config{Plane: pool, Wires: pool, Now: clk.Now, Anchor: clk.Anchor(), Codecs: lib})
	t.Cleanup(func() {
		h.mix.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *mixHouse) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

var (
	mixOpus = plane.Codec{Name: "opus", PT: 111, ClockRate: 48000, Channels: 2}
	mixPCMU = plane.Codec{Name: "PCMU", PT: 0, ClockRate: 8000}
)

// join adds a leg that speaks and hears.
func (h *mixHouse) join(name string, c plane.Codec, hz float64, ssrc, id uint32) *mixLeg {
	h.t.Helper()
	l := &mixLeg{h: h, name: name, conn: ids.Connection("conn_" + name), codec: c, out: ids.Track("mix_" + name), hz: hz, ssrc: ssrc, id: id}
	var err error
	l.enc, err = h.lib.Encoder(c, codec.Settings{})
	h.must(err)
	h.t.Cleanup(l.enc.Close)
	l.inj, err = h.OpenInside(mixConf, l.conn, l)
	h.must(err)
	sec := plane.Section{MID: "0", Kind: plane.Audio, Recv: &plane.Recv{Codecs: []plane.Codec{c}, Layers: []plane.Layer{{SSRC: ssrc}}}, Send: &plane.Send{Codecs: []plane.Codec{c}, SSRC: 0xf0000000 + id}}
	if c.Name == "opus" {
		sec.Exts[plane.ExtAudioLevel], sec.Exts[plane.ExtMixerLevel] = 4, 9
	}
	h.must(h.Configure(l.conn, plane.LegMedia{Rev: 1, CNAME: "server", RTCPRsize: true, Sections: []plane.Section{sec}}))
	h.must(h.Publish(plane.Track{Conf: mixConf, Conn: l.conn, Track: ids.Track(name), MID: "0", Kind: plane.Audio, CNAME: "alias-" + name, SrcID: id}))
	h.legs = append(h.legs, l)
	l.seq = uint16(ssrc)
	h.tell()
	h.must(h.mix.Start(plane.MixOutput{Conf: mixConf, Track: l.out, Kind: plane.Audio, Codec: c, Listener: ids.Device(name), Leg: l.conn}))
	h.must(h.Subscribe(plane.Subscription{Conf: mixConf, Sub: ids.Subscription("sub_" + name), Track: l.out, Conn: l.conn, MID: "0", SSRC: 0xf0000000 + id}))
	return l
}

func (h *mixHouse) tell() {
	h.room.Sources = nil
	for _, l := range h.legs {
		h.room.Sources = append(h.room.Sources, plane.MixSource{
			Track: ids.Track(l.name), Kind: plane.Audio, Device: ids.Device(l.name), SrcID: l.id, CNAME: "alias-" + l.name, Codec: l.codec, Level: l.codec.Name == "opus",
		})
	}
	h.mix.Room(h.room)
}

func (h *mixHouse) leave(l *mixLeg) {
	h.legs = slices.DeleteFunc(h.legs, func(x *mixLeg) bool { return x == l })
	h.tell()
	h.Unpublish(mixConf, ids.Track(l.name))
}

// speak sends in real time until done says so; false after 30 s.
func (h *mixHouse) speak(done func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		for _, l := range h.legs {
			l.inj.Inject([][]byte{l.frame()})
		}
		<-tick.C
		if done() {
			return true
		}
	}
	return false
}

func (l *mixLeg) frame() []byte {
	pcm := make([]int16, l.enc.Rate()/50)
	for i := range pcm {
		if !l.quiet {
			pcm[i] = int16(6000 * math.Sin(l.phase))
		}
		l.phase += 2 * math.Pi * l.hz / float64(l.enc.Rate())
	}
	b := make([]byte, 12, 600)
	b[0], b[1] = 0x80, l.codec.PT
	l.seq++
	l.ts += l.codec.ClockRate / 50
	binary.BigEndian.PutUint16(b[2:], l.seq)
	binary.BigEndian.PutUint32(b[4:], l.ts)
	binary.BigEndian.PutUint32(b[8:], l.ssrc)
	if l.codec.Name == "opus" {
		b[0] |= 0x10
		b = append(b, 0xbe, 0xde, 0, 1, 4<<4, 17, 0, 0)
		if l.quiet {
			b[17] = 127
		}
	}
	n, err := l.enc.Encode(pcm, b[len(b):cap(b)])
	l.h.must(err)
	return b[:len(b)+n]
}

// tones decodes what a leg heard last and measures, dB of full scale.
func (l *mixLeg) tones(ps [][]byte, hz ...float64) (out []float64) {
	d, err := l.h.lib.Decoder(l.codec)
	l.h.must(err)
	defer d.Close()
	var all []float64
	pcm := make([]int16, d.Rate()/1000*codec.MaxMillis)
	for _, b := range ps {
		var h rtp.Header
		if rtp.Parse(b, &h) != rtp.OK {
			l.h.t.Fatal("no RTP")
		}
		if n, err := d.Decode(b[h.PayloadOff:h.PayloadEnd], pcm); err == nil {
			for _, v := range pcm[:n] {
				all = append(all, float64(v))
			}
		}
	}
	all = all[len(all)/4:]
	for _, f := range hz {
		c := 2 * math.Cos(2*math.Pi*f/float64(d.Rate()))
		var s1, s2 float64
		for i, v := range all {
			w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(all)))
			s1, s2 = v*w+c*s1-s2, s1
		}
		n := float64(len(all)) / 4
		out = append(out, 10*math.Log10((s1*s1+s2*s2-c*s1*s2)/(n*n)/(32767*32767)+1e-15))
	}
	return out
}

func contributors(t *testing.T, b []byte) (list []uint32, h rtp.Header) {
	if d := rtp.Parse(b, &h); d != rtp.OK {
		t.Fatalf("no RTP: %v", d)
	}
	for i := range int(h.CSRCCount) {
		list = append(list, h.CSRC(b, i))
	}
	slices.Sort(list)
	return list, h
}

// MIX-1, MIX-4, MIX-6, MIX-7 and MIX-9 through engine, shards and mixer: two
// Opus legs that chose one SSRC and a G.711 leg in a room.
func TestMIX1_ThroughTheEngine(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			h := newMixHouse(t, shards)
			a := h.join("a", mixOpus, 400, 0xdeadbeef, 0xa1)
			b := h.join("b", mixOpus, 700, 0xdeadbeef, 0xb2)
			c := h.join("c", mixPCMU, 1000, 0xc3, 0xc3)
			if !h.speak(func() bool { ps, _ := c.heard(); return len(ps) >= 150 }) {
				t.Fatal("no mix")
			}
			all := map[*mixLeg]uint32{a: 0xa1, b: 0xb2, c: 0xc3}
			for l, own := range all {
				ps, _ := l.heard()
				ps = ps[len(ps)-75:]
				s := l.tones(ps, 400, 700, 1000)
				for i, hz := range []float64{400, 700, 1000} {
					others := min(s[(i+1)%3], s[(i+2)%3])
					if hz == l.hz && (s[i] > others-40 || others < -28) {
						t.Errorf("%s hears itself, %.0f Hz, at %.1f dB, the others at %.1f dB", l.name, hz, s[i], others)
					}
				}
				for _, p := range ps {
					list, hd := contributors(t, p)
					if len(list) != 2 || slices.Contains(list, own) || hd.SSRC != 0xf0000000+own {
						t.Fatalf("%s: SSRC %x, CSRC %x", l.name, hd.SSRC, list)
					}
					if lv, ok := hd.Ext(p, 9); l.codec.Name == "opus" && (!ok || len(lv) != 2) {
						t.Fatalf("%s: mixer levels %v", l.name, lv)
					}
				}
			}
			h.mustSayBye(t, a, b)
		})
	}
}

// mustSayBye lets b leave: a's RTCP has so far named b and c in SDES, now it
// says BYE for b and never anything of the legs' own RTCP.
func (h *mixHouse) mustSayBye(t *testing.T, a, b *mixLeg) {
	named, said := map[string]bool{}, map[uint32]bool{}
	scan := func() {
		_, cs := a.heard()
		for _, c := range cs {
			var p rtcp.Packet
			for it := rtcp.Parse(c); it.Next(&p); {
				p.CNAME(func(_ uint32, n []byte) { named[string(n)] = true })
				for i := 0; p.Type == rtcp.TypeBYE; i++ {
					s, ok := p.ByeSSRC(i)
					if !ok {
						break
					}
					said[s] = true
				}
				for i := 0; (p.Type == rtcp.TypeSR || p.Type == rtcp.TypeRR) && i < p.Blocks(); i++ {
					if s := p.Block(i).SSRC; s != a.ssrc {
						t.Fatalf("a report about %x came to A", s)
					}
				}
			}
		}
	}
	if !h.speak(func() bool { scan(); return named["alias-b"] && named["alias-c"] && named["the-mixer"] }) {
		t.Fatalf("SDES named %v", named)
	}
	h.leave(b)
	if !h.speak(func() bool { scan(); return said[0xb2] }) {
		t.Fatalf("BYE for %v", said)
	}
	if said[0xf00000a1] {
		t.Error("the mix itself said BYE")
	}
}

// MIX-9: TMMBR from a leg is answered on that leg and followed by its mix alone.
func TestMIX9_ThroughTheEngine(t *testing.T) {
	h := newMixHouse(t, 1)
	a := h.join("a", mixOpus, 400, 0xa1a1, 0xa0)
	b := h.join("b", mixOpus, 700, 0xb1b1, 0xb0)
	h.join("c", mixOpus, 1000, 0xc1c1, 0xc0)
	count := func(l *mixLeg) int { ps, _ := l.heard(); return len(ps) }
	if !h.speak(func() bool { return count(a) > 50 && count(b) > 50 }) {
		t.Fatal("no mix")
	}
	a.inj.Inject([][]byte{rtcp.AppendTMMBR(rtcp.AppendRR(nil, 0xa1a1, nil), 0xa1a1, []rtcp.Limit{{SSRC: 0xf00000a0, Bitrate: 45_000}})})
	answered := func() bool {
		_, cs := a.heard()
		for _, c := range cs {
			var p rtcp.Packet
			for it := rtcp.Parse(c); it.Next(&p); {
				if p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtTMMBN && p.Limits() == 1 && p.Limit(0).Bitrate == 45_000 {
					return true
				}
			}
		}
		return false
	}
	if !h.speak(answered) {
		t.Fatal("no TMMBN")
	}
	n, m := count(a)+10, count(b)+10
	if !h.speak(func() bool { return count(a) >= n+100 && count(b) >= m+100 }) {
		t.Fatal("the mixes stopped")
	}
	rate := func(l *mixLeg, from int) (bits int) {
		ps, _ := l.heard()
		for _, p := range ps[from : from+100] {
			bits += 8 * (len(p) + 38)
		}
		return bits / 2
	}
	if x, y := rate(a, n), rate(b, m); x > 45_000 || y < 48_000 {
		t.Errorf("limited to 45000: %d; the other: %d", x, y)
	}
}
