//go:build abuse && linux

package abusetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/sdp"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/sctp"
	"parley/internal/worker/wire"
)

// hostile sends authenticated nonsense.
type hostile struct {
	*client
	rnd  *rand.Rand
	sent int
}

// packet seals one packet of the given fields; ext lays out the extension.
func (h *hostile) packet(f rtp.Fields, exts map[uint8][]byte, payload []byte) {
	var hdr [rtp.MaxHeader]byte
	var w rtp.Writer
	w.Begin(hdr[:], &f, false)
	for id, v := range exts {
		w.Add(id, v)
	}
	if h.SendRTP(hdr[:w.End()], payload) == nil {
		h.sent++
	}
}

// raw seals a header made by hand, which must be whole.
func (h *hostile) raw(hdr, payload []byte) {
	if h.SendRTP(hdr, payload) == nil {
		h.sent++
	}
}

func (h *hostile) payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.rnd.Uint32())
	}
	return b
}

// manySSRCs opens a thousand streams under every payload type and RID.
func (h *hostile) manySSRCs() {
	video := h.section(plane.Video)
	for i := range 1000 {
		exts := map[uint8][]byte{video.Exts[plane.ExtMID]: []byte(video.MID), video.Exts[plane.ExtRID]: fmt.Appendf(nil, "r%d", i)}
		h.packet(rtp.Fields{PayloadType: uint8(i % 128), Seq: uint16(i), SSRC: uint32(100000 + i)}, exts, h.payload(100))
		h.rest()
	}
}

// midSwaps moves one stream between sections and payload types.
func (h *hostile) midSwaps() {
	a, v := h.section(plane.Audio), h.section(plane.Video)
	ssrc := v.Send.SSRC
	for i := range 1000 {
		sec := []*plane.Section{a, v}[i%2]
		mid := []string{a.MID, v.MID, "", "nowhere", strings.Repeat("x", 16)}[i%5]
		exts := map[uint8][]byte{sec.Exts[plane.ExtMID]: []byte(mid)}
		h.packet(rtp.Fields{PayloadType: sec.Send.Codecs[i%len(sec.Send.Codecs)].PT, Seq: uint16(i), SSRC: ssrc}, exts, h.payload(60))
		h.rest()
	}
}

// jumps leaps by half the sequence space, which moves the roll-over counter.
func (h *hostile) jumps() {
	v := h.section(plane.Video)
	seq := uint16(h.rnd.Uint32())
	for i := range 1000 {
		seq += []uint16{1, 30000, 32767, 100, 5}[i%5]
		h.packet(rtp.Fields{PayloadType: v.Send.Codecs[0].PT, Seq: seq, TS: h.rnd.Uint32(), SSRC: v.Send.SSRC}, nil, h.payload(80))
		h.rest()
	}
}

// shapes are headers and payloads that lie: extensions full of elements, of
// length 0, beyond the end; paddings longer than the payload; 15 CSRCs; no payload.
func (h *hostile) shapes() {
	v := h.section(plane.Video)
	fixed := func(first byte, seq int) []byte {
		b := binary.BigEndian.AppendUint16([]byte{first, v.Send.Codecs[0].PT}, uint16(40000+seq))
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, uint32(seq)*3000), v.Send.SSRC)
	}
	ext := func(profile uint16, body []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, profile)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(body)/4)), body...)
	}
	elements := make([]byte, 1024)
	for i := range elements {
		elements[i] = []byte{0x10, 1}[i%2] // 512 one-byte elements
	}
	over := append([]byte{0x1f}, make([]byte, 3)...) // one element of 16 bytes in 4
	for i := range 1000 {
		switch i % 8 {
		case 0:
			h.raw(append(fixed(0x90, i), ext(0xbede, elements)...), h.payload(20))
		case 1:
			h.raw(append(fixed(0x90, i), ext(0x1000, elements)...), h.payload(20))
		case 2:
			h.raw(append(fixed(0x90, i), ext(0xbede, over)...), h.payload(20))
		case 3:
			h.raw(append(fixed(0x90, i), ext(0x1000, h.payload(512))...), h.payload(20))
		case 4:
			h.raw(fixed(0xa0, i), append(h.payload(20), 255)) // padding 255 of 21
		case 5:
			h.raw(fixed(0xa0, i), append(h.payload(20), 0))
		case 6:
			h.raw(append(fixed(0x8f, i), h.payload(60)...), nil)
		case 7:
			h.raw(append(fixed(0x90, i), ext(0xbede, nil)...), nil)
		}
		h.rest()
	}
}

// nonsense is authenticated RTCP of every type with lengths that lie.
func (h *hostile) nonsense() {
	for i := range 1000 {
		b := append([]byte{0x80 | byte(i%32), byte(192 + i%22), 0, byte(h.rnd.Uint32())}, h.payload(4*(1+i%60))...)
		if i%3 == 0 {
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
		}
		if h.SendRTCP(b) == nil {
			h.sent++
		}
		h.rest()
	}
}

// rest keeps the rate at some 10,000 packets a second.
func (h *hostile) rest() {
	if h.sent%20 == 0 {
		time.Sleep(2 * time.Millisecond)
	}
}

// TestD10_HostilePublisher: a publisher that authenticates and then sends a
// thousand streams, swapped sections, leaping numbers, extension bombs and lying
// paddings costs no more than fifty streams, and nobody beside it anything.
func TestD10_HostilePublisher(t *testing.T) {
	const seed = 10
	t.Logf("seed %d", seed)
	s := start(t)
	ctrl := s.control(t)
	room := s.call(t, "hostile")
	s.mustJoin(t, joining{kind: "whep", room: "hostile"}) // sees the hostile one as well
	for _, tc := range []struct {
		name string
		run  func(*hostile)
	}{
		{"a thousand SSRCs, RIDs and payload types", (*hostile).manySSRCs},
		{"swapped sections", (*hostile).midSwaps},
		{"leaping numbers", (*hostile).jumps},
		{"lying shapes", (*hostile).shapes},
		{"nonsense in RTCP", (*hostile).nonsense},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &hostile{client: s.mustJoin(t, joining{kind: "whip", room: "hostile"}), rnd: rand.New(rand.NewPCG(seed, seed))}
			before := s.stats(t, true)
			tc.run(h)
			time.Sleep(300 * time.Millisecond)
			after := s.stats(t, true)
			t.Logf("%d packets: %+d goroutines, heap %+.2f MiB; dropped %v, media %s", h.sent, after.Goroutines-before.Goroutines,
				mib(int64(after.HeapBytes)-int64(before.HeapBytes)), after.Media.Shards[0].Dropped, after.Media.Shards[0].Media)
			if h.sent < 900 {
				t.Errorf("only %d packets were sent", h.sent)
			}
			if after.Goroutines > before.Goroutines+10 || after.HeapBytes > before.HeapBytes+2<<20 {
				t.Errorf("before %v, after %v", before, after)
			}
			h.leave()
		})
	}
	sent, lost := room.end()
	t.Logf("beside it %d of %d lost", lost, sent)
	if lost > 0 {
		t.Errorf("the room beside lost %d of %d", lost, sent)
	}
	ctrl.end(t)
}

// dataPeer joins over the WebSocket with data channels.
func (s *server) dataPeer(t *testing.T, room string) *wire.Peer {
	t.Helper()
	w := s.ws(t, netip.Addr{}, api.Auth{Name: "Data"})
	joined := w.joinWS(t, room, "data-"+ids.NewSecret().Reveal()[:8])
	creds := ice.NewCreds()
	hash, value := identity().Fingerprint()
	o, err := sdp.NewOffer(sdp.NewSession(uint64(ids.Random32()), ""), sdp.OfferConfig{
		Local: plane.Local{
			ICE:         plane.ICECreds{Ufrag: creds.Ufrag, Pwd: ids.Secret(creds.Pwd)},
			Fingerprint: plane.Fingerprint{Hash: hash, Value: value},
		},
		Sections: []sdp.OfferSection{{Kind: plane.Audio, Receive: true}, {Kind: plane.Application}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var res api.AnswerResult
	w.mustRequest(t, api.MediaOffer, room, api.OfferParams{MS: joined.MS, Rev: 1, SDP: o.SDP}, &res)
	go func() { _ = w.until(func(string, []byte) bool { return false }) }() // answers pings
	a, err := sdp.ParseAnswer(o, []byte(res.SDP))
	if err != nil {
		t.Fatal(err)
	}
	if !a.Data {
		t.Fatal("no data channels were agreed on")
	}
	cfg := wire.Config{
		Local: creds, Remote: ice.Creds{Ufrag: a.Remote.Ufrag, Pwd: a.Remote.Pwd.Reveal()}, Server: s.udp, Identity: identity(),
		DTLSClient: a.DTLSClient, OnRTP: func(clock.Time, []byte) {}, OnRTCP: func(clock.Time, []byte) {},
		Data: &wire.Data{OnOpen: func(uint16, string) {}, OnMessage: func(uint16, bool, []byte) {}, OnClose: func(uint16) {}},
	}
	for _, f := range a.Prints {
		cfg.Fingerprints = append(cfg.Fingerprints, dtls.Fingerprint{Hash: f.Hash, Value: f.Value})
	}
	p, err := wire.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(context.Background())
	}()
	t.Cleanup(func() { p.Close(); <-done })
	select {
	case <-p.Connected():
	case <-time.After(20 * time.Second):
		t.Fatal("not connected")
	}
	return p
}

// TestD11_DataChannels: tens of thousands of streams, a flood of messages and a
// message without end cost at most 4 MiB for their association; the audio of
// others loses nothing.
func TestD11_DataChannels(t *testing.T) {
	was := sctp.DefaultLimits
	sctp.DefaultLimits = sctp.Limits{ // of our own side: hardly any
		MaxMessage: 1 << 30, ReceiveBuffer: 1 << 20, SendBuffer: 32 << 20, Streams: 1 << 17, MessageRate: 1 << 30, MessageBurst: 1 << 30, ByteRate: 1 << 40,
	}
	t.Cleanup(func() { sctp.DefaultLimits = was })
	s := start(t)
	ctrl := s.control(t)
	room := s.call(t, "data")
	for _, tc := range []struct {
		name   string
		attack func(a *sctp.Association) int
	}{
		{"65,535 streams", func(a *sctp.Association) (n int) {
			for id := range 65535 {
				if id%200 == 199 {
					time.Sleep(5 * time.Millisecond)
				}
				if a.Open(uint16(id), "stream") == nil {
					n++
				}
			}
			return n
		}},
		{"as many messages as will go", func(a *sctp.Association) (n int) {
			_ = a.Open(0, "flood")
			msg := make([]byte, 16<<10)
			for began := time.Now(); time.Since(began) < 4*time.Second; {
				if a.Send(0, true, msg) != nil { // full, or ended
					time.Sleep(time.Millisecond)
					continue
				}
				n++
			}
			return n
		}},
		{"small messages", func(a *sctp.Association) (n int) {
			_ = a.Open(0, "small")
			for i := range 30000 {
				if a.Send(0, false, []byte("x")) == nil {
					n++
				}
				if i%100 == 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
			return n
		}},
		{"a message without end", func(a *sctp.Association) (n int) {
			_ = a.Open(0, "endless")
			if a.Send(0, true, make([]byte, 24<<20)) == nil {
				n++
			}
			time.Sleep(4 * time.Second)
			return n
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := s.dataPeer(t, "data")
			a := p.Channels()
			if a == nil {
				t.Fatal("no association")
			}
			before := s.stats(t, true)
			var peak atomic.Uint64
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					st, err := s.readStats(true)
					if err == nil {
						peak.Store(max(peak.Load(), st.HeapBytes))
					}
					select {
					case <-stop:
						return
					case <-time.After(150 * time.Millisecond):
					}
				}
			}()
			n := tc.attack(a)
			close(stop)
			<-stopped
			after := s.stats(t, true)
			t.Logf("%d sent; heap at its highest %+.1f MiB (aim: 4), RSS %+.1f MiB, goroutines %+d", n,
				mib(int64(peak.Load())-int64(before.HeapBytes)), mib(int64(after.rss)-int64(before.rss)), after.Goroutines-before.Goroutines)
			if n == 0 {
				t.Error("nothing was sent")
			}
			if int64(peak.Load())-int64(before.HeapBytes) > 4<<20 {
				t.Errorf("%.1f MiB of heap for one association", mib(int64(peak.Load())-int64(before.HeapBytes)))
			}
			p.Close()
		})
	}
	sent, lost := room.end()
	t.Logf("beside it %d of %d lost", lost, sent)
	if lost > 0 {
		t.Errorf("the room beside lost %d of %d", lost, sent)
	}
	ctrl.end(t)
}
