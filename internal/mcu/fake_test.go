package mcu

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

// fakePlane stands for the engine: it forwards what talkers send to the
// subscriptions of the inside links and keeps what is injected.
type fakePlane struct {
	plane.Plane // nil: any other call is a bug
	t           testing.TB

	mu       sync.Mutex
	far      map[ids.Connection]plane.Inside
	media    map[ids.Connection]plane.LegMedia
	tracks   map[ids.Track]plane.Track
	subs     map[ids.Subscription]plane.Subscription
	contrib  map[ids.Track][]plane.Contributor
	rtp      map[uint32][][]byte // by SSRC
	rtcp     [][]byte
	closed   []ids.Connection
	legStats map[ids.Connection]plane.LinkStats
	refuse   error // of OpenInside
	calls    []string
}

func newFakePlane(t testing.TB) *fakePlane {
	return &fakePlane{
		t: t, far: map[ids.Connection]plane.Inside{}, media: map[ids.Connection]plane.LegMedia{}, tracks: map[ids.Track]plane.Track{},
		subs: map[ids.Subscription]plane.Subscription{}, contrib: map[ids.Track][]plane.Contributor{}, rtp: map[uint32][][]byte{},
		legStats: map[ids.Connection]plane.LinkStats{},
	}
}

func (p *fakePlane) OpenInside(_ ids.Conference, conn ids.Connection, far plane.Inside) (plane.Injector, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return nil, p.refuse
	}
	p.far[conn] = far
	return fakeInjector{p, conn}, nil
}

func (p *fakePlane) OpenRTP(plane.OpenRTP) (plane.LocalRTP, error) { panic("not an inside link") }

func (p *fakePlane) RetargetRTP(ids.Connection, netip.AddrPort, netip.AddrPort) error {
	panic("not an inside link")
}

func (p *fakePlane) Configure(c ids.Connection, m plane.LegMedia) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.far[c] == nil {
		p.t.Errorf("configured an unknown connection")
	}
	if m.Rev <= p.media[c].Rev {
		p.t.Errorf("revision %d after %d", m.Rev, p.media[c].Rev)
	}
	p.media[c] = m
	return nil
}

func (p *fakePlane) section(c ids.Connection, mid string) *plane.Section {
	m := p.media[c]
	for i := range m.Sections {
		if m.Sections[i].MID == mid {
			return &m.Sections[i]
		}
	}
	return nil
}

func (p *fakePlane) Publish(t plane.Track) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.section(t.Conn, t.MID); s == nil || s.Recv == nil {
		p.t.Errorf("published on a section that does not receive")
	}
	p.tracks[t.Track] = t
	return nil
}

func (p *fakePlane) Unpublish(_ ids.Conference, t ids.Track) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tracks, t)
}

func (p *fakePlane) Subscribe(s plane.Subscription) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sec := p.section(s.Conn, s.MID)
	if sec == nil || sec.Send == nil || sec.Send.SSRC != s.SSRC {
		p.t.Errorf("subscribed on a section that does not send")
	}
	p.subs[s.Sub] = s
	return nil
}

func (p *fakePlane) Unsubscribe(s ids.Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subs, s)
}

func (p *fakePlane) Contributors(_ ids.Conference, t ids.Track, now []plane.Contributor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contrib[t] = now
}

func (p *fakePlane) Close(c ids.Connection, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, c)
}

func (p *fakePlane) Stats(c ids.Connection) (plane.LinkStats, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.legStats[c]
	return s, ok
}

type fakeInjector struct {
	p    *fakePlane
	conn ids.Connection
}

func (i fakeInjector) Inject(packets [][]byte) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	for _, b := range packets {
		b = slices.Clone(b)
		if rtcp.Mux(b) {
			i.p.rtcp = append(i.p.rtcp, b)
			continue
		}
		ssrc := binary.BigEndian.Uint32(b[8:])
		i.p.rtp[ssrc] = append(i.p.rtp[ssrc], b)
	}
}

// house is a server with one room on a virtual clock.
type house struct {
	t       *testing.T
	p       *fakePlane
	s       *Server
	now     clock.Time
	talkers []*talker
	room    plane.MixRoom
}

const conf = ids.Conference("conf_mix")

var (
	opus = plane.Codec{Name: "opus", PT: 96, ClockRate: 48000, Channels: 2, NACK: true}
	pcmu = plane.Codec{Name: "PCMU", PT: 0, ClockRate: 8000}
)

func newHouse(t *testing.T, c Config) *house {
	h := &house{t: t, p: newFakePlane(t), now: clock.Time(time.Hour)}
	c.Plane, c.Wires, c.manual = h.p, h.p, true
	c.Now = func() clock.Time { return h.now }
	c.Anchor = clock.Anchor{Mono: clock.Time(time.Hour), Unix: 1.7e18}
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	h.s = New(c)
	h.room = plane.MixRoom{Conf: conf, CNAME: "mixer"}
	t.Cleanup(h.s.Close)
	return h
}

// talker publishes a tone in 20 ms packets.
type talker struct {
	plane.MixSource
	enc   codec.Encoder
	hz    float64
	phase float64
	seq   uint16
	ts    uint32
	quiet bool
}

func (h *house) talk(name string, id uint32, c plane.Codec, hz float64) *talker {
	e, err := h.s.cfg.Codecs.Encoder(c, codec.Settings{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(e.Close)
	k := &talker{enc: e, hz: hz, MixSource: plane.MixSource{
		Track: ids.Track(name), Kind: plane.Audio, Device: ids.Device("dev-" + name), SrcID: id, CNAME: "c-" + name, Codec: c, Level: c.Name == "opus",
	}}
	h.talkers = append(h.talkers, k)
	h.tell()
	return k
}

func (h *house) tell() {
	h.room.Sources = nil
	for _, k := range h.talkers {
		h.room.Sources = append(h.room.Sources, k.MixSource)
	}
	h.s.Room(h.room)
}

func (h *house) leave(k *talker) {
	h.talkers = slices.DeleteFunc(h.talkers, func(x *talker) bool { return x == k })
	h.tell()
}

func (h *house) start(o plane.MixOutput) ids.Track {
	o.Conf = conf
	if o.Track == "" {
		o.Track = ids.NewTrack()
	}
	if o.Kind == 0 {
		o.Kind = plane.Audio
	}
	if err := h.s.Start(o); err != nil {
		h.t.Fatal(err)
	}
	if _, ok := h.p.tracks[o.Track]; !ok {
		h.t.Fatal("started and not published")
	}
	return o.Track
}

// turn lets 20 ms pass.
func (h *house) turn() {
	for _, k := range h.talkers {
		b := k.frame()
		for _, s := range h.p.subs {
			if s.Track == k.Track {
				h.deliver(s, b)
			}
		}
	}
	h.now = h.now.Add(Slot)
	for _, r := range h.s.rooms {
		r.turn(h.now)
	}
}

func (h *house) run(d time.Duration) {
	for ; d > 0; d -= Slot {
		h.turn()
	}
}

// deliver forwards as the engine does: the subscription's SSRC, the section's
// payload type and extension ids.
func (h *house) deliver(s plane.Subscription, b []byte) {
	sec := h.p.section(s.Conn, s.MID)
	b = slices.Clone(b)
	b[1] = sec.Send.Codecs[0].PT
	binary.BigEndian.PutUint32(b[8:], s.SSRC)
	if b[0]&0x10 != 0 {
		b[16] = sec.Exts[plane.ExtAudioLevel]<<4 | b[16]&15
	}
	h.p.far[s.Conn].HandleInside([][]byte{b})
}

func (k *talker) frame() []byte {
	pcm := make([]int16, k.enc.Rate()/50)
	for i := range pcm {
		if !k.quiet {
			pcm[i] = int16(6000 * math.Sin(k.phase))
		}
		k.phase += 2 * math.Pi * k.hz / float64(k.enc.Rate())
	}
	k.seq++
	k.ts += k.Codec.ClockRate / 50
	b := make([]byte, 20, 500)
	b[0], b[1] = 0x80, k.Codec.PT
	binary.BigEndian.PutUint16(b[2:], k.seq)
	binary.BigEndian.PutUint32(b[4:], k.ts)
	binary.BigEndian.PutUint32(b[8:], k.SrcID)
	if !k.Level {
		b = b[:12]
	} else {
		b[0] |= 0x10
		copy(b[12:], []byte{0xbe, 0xde, 0, 1, 7 << 4, 17, 0, 0})
		if k.quiet {
			b[17] = 127
		}
	}
	n, err := k.enc.Encode(pcm, b[len(b):cap(b)])
	if err != nil {
		panic(err)
	}
	return b[:len(b)+n]
}

// packets are those of an output so far.
func (h *house) packets(t ids.Track) [][]byte {
	tr := h.p.tracks[t]
	s := h.p.section(tr.Conn, tr.MID)
	return h.p.rtp[s.Recv.Layers[0].SSRC]
}

func (h *house) ssrc(t ids.Track) uint32 {
	tr := h.p.tracks[t]
	return h.p.section(tr.Conn, tr.MID).Recv.Layers[0].SSRC
}

// strengths decodes the packets and measures tones, dB of full scale.
func (h *house) strengths(c plane.Codec, ps [][]byte, hz ...float64) (out []float64) {
	d, err := h.s.cfg.Codecs.Decoder(c)
	if err != nil {
		h.t.Fatal(err)
	}
	defer d.Close()
	var all []float64
	pcm := make([]int16, d.Rate()/1000*codec.MaxMillis)
	for _, b := range ps {
		_, hd := csrcs(h.t, b)
		n, err := d.Decode(b[hd.PayloadOff:hd.PayloadEnd], pcm)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, v := range pcm[:n] {
			all = append(all, float64(v))
		}
	}
	all = all[len(all)/4:]
	for _, f := range hz {
		co := 2 * math.Cos(2*math.Pi*f/float64(d.Rate()))
		var s1, s2 float64
		for i, v := range all {
			w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(all)))
			s1, s2 = v*w+co*s1-s2, s1
		}
		n := float64(len(all)) / 4
		out = append(out, 10*math.Log10((s1*s1+s2*s2-co*s1*s2)/(n*n)/(32767*32767)+1e-15))
	}
	return out
}

func csrcs(t testing.TB, b []byte) (list []uint32, h rtp.Header) {
	if d := rtp.Parse(b, &h); d != rtp.OK {
		t.Fatalf("no RTP: %v", d)
	}
	for i := range int(h.CSRCCount) {
		list = append(list, h.CSRC(b, i))
	}
	slices.Sort(list)
	return list, h
}

func sortedKeys[M ~map[K]V, K ~string, V any](m M) string {
	return fmt.Sprint(slices.Sorted(maps.Keys(m)))
}
