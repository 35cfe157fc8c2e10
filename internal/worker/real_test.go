package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"parley/internal/media/plane"
	"parley/internal/worker/wire"
)

// leg media of a publisher and of a player of one audio and one video section.
func sending(ssrcAudio, ssrcVideo uint32) plane.LegMedia {
	return plane.LegMedia{Rev: 1, CNAME: "server", RTCPRsize: true, Sections: []plane.Section{
		{MID: "0", Kind: plane.Audio, Recv: &plane.Recv{Codecs: opus(), Layers: []plane.Layer{{SSRC: ssrcAudio}}}},
		{MID: "1", Kind: plane.Video, Recv: &plane.Recv{Codecs: vp8(), Layers: []plane.Layer{{SSRC: ssrcVideo}}}},
	}}
}

func receiving(ssrcAudio, ssrcVideo uint32) plane.LegMedia {
	return plane.LegMedia{Rev: 1, CNAME: "server", RTCPRsize: true, Sections: []plane.Section{
		{MID: "0", Kind: plane.Audio, Send: &plane.Send{Codecs: opus(), SSRC: ssrcAudio}},
		{MID: "1", Kind: plane.Video, Send: &plane.Send{Codecs: vp8(), SSRC: ssrcVideo}},
	}}
}

func opus() []plane.Codec {
	return []plane.Codec{{Name: "opus", PT: 111, ClockRate: 48000, Channels: 2}}
}

func vp8() []plane.Codec {
	return []plane.Codec{{Name: "VP8", PT: 96, ClockRate: 90000, NACK: true, PLI: true}}
}

// TestRealEngine: the shard with the true engine, in one shard and across two:
// sound arrives without a gap, a picture that cannot be decoded makes the
// publisher be asked for a keyframe, the goodbye is a BYE.
func TestRealEngine(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				c.NewEngine, c.Workers = nil, shards
				if shards > 1 {
					c.Caps.LinksPerShard = 1
				}
			})
			pub, sub := r.connect(join{}), r.connect(join{})
			for _, err := range []error{
				r.Configure(pub.conn, sending(1, 2)), r.Configure(sub.conn, receiving(11, 12)),
				r.Publish(plane.Track{Conf: "conf_test", Conn: pub.conn, Track: "trk_a", MID: "0", Kind: plane.Audio, CNAME: "c"}),
				r.Publish(plane.Track{Conf: "conf_test", Conn: pub.conn, Track: "trk_v", MID: "1", Kind: plane.Video, CNAME: "c"}),
				r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_a", Track: "trk_a", Conn: sub.conn, MID: "0", SSRC: 11}),
				r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_v", Track: "trk_v", Conn: sub.conn, MID: "1", SSRC: 12}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r.settle()
			playSound(t, pub, sub)
			if s, ok := r.Stats(sub.conn); !ok || s.PacketsOut == 0 {
				t.Errorf("stats %+v", s)
			}
			askKeyframe(t, pub)
			r.Unpublish("conf_test", "trk_a")
			r.Close(sub.conn, "bye")
			hasRTCP(t, sub, 203, 11)
		})
	}
}

func playSound(t *testing.T, pub, sub *peer) {
	t.Helper()
	var last uint16
	for i := range uint16(60) {
		h := header(1000+i, 1)
		h[1] = 111
		payload := []byte(fmt.Sprint("sound ", i))
		if err := pub.SendRTP(h, payload); err != nil {
			t.Fatal(err)
		}
		select {
		case b := <-sub.got:
			seq := binary.BigEndian.Uint16(b[2:])
			if i > 0 && seq != last+1 {
				t.Fatalf("sequence %d after %d", seq, last)
			}
			last = seq
			if ssrc := binary.BigEndian.Uint32(b[8:]); ssrc != 11 || b[1]&0x7f != 111 || !bytes.HasSuffix(b, payload) {
				t.Fatalf("packet %d: SSRC %d, %x", i, ssrc, b)
			}
		case <-time.After(patience):
			t.Fatalf("sound %d did not come", i)
		}
	}
}

// askKeyframe sends an interframe; nobody can show it, so the publisher must
// be asked for a whole one.
func askKeyframe(t *testing.T, pub *peer) {
	t.Helper()
	h := header(1, 2)
	if err := pub.SendRTP(h, []byte{0x10, 0x01, 0, 0, 0, 0}); err != nil { // VP8: start of partition 0, P bit set
		t.Fatal(err)
	}
	hasRTCP(t, pub, 206, 2)
}

// hasRTCP waits for a compound with a packet of a type that names an SSRC.
func hasRTCP(t *testing.T, p *peer, typ byte, ssrc uint32) {
	t.Helper()
	want := binary.BigEndian.AppendUint32(nil, ssrc)
	limit := time.After(patience)
	for {
		select {
		case b := <-p.gotRC:
			for rest := b; len(rest) >= 4; {
				n := 4 + 4*int(binary.BigEndian.Uint16(rest[2:]))
				if n > len(rest) {
					break
				}
				if rest[1] == typ && bytes.Contains(rest[4:n], want) {
					return
				}
				rest = rest[n:]
			}
		case <-limit:
			t.Fatalf("no RTCP %d for SSRC %d", typ, ssrc)
		}
	}
}

// TestDataChannel: SCTP starts on first use and carries messages both ways;
// closing the link ends it.
func TestDataChannel(t *testing.T) {
	for _, serverDTLS := range []bool{false, true} {
		r := newRig(t, nil)
		got := make(chan string, 16)
		opened := make(chan uint16, 1)
		p := r.connect(join{serverDTLS: serverDTLS, data: &wire.Data{
			OnOpen:    func(id uint16, _ string) { opened <- id },
			OnMessage: func(_ uint16, _ bool, b []byte) { got <- string(b) },
			OnClose:   func(uint16) {},
		}})
		id := uint16(0)
		if serverDTLS {
			id = 1
		}
		waitFor(t, "channel", func() bool { return p.Channels() != nil && p.Channels().Open(id, "chat") == nil })
		if e := r.sink.wait(t, p.conn, plane.DataOpened); e.Label != "chat" || e.Channel != id {
			t.Errorf("opened %+v", e)
		}
		<-opened
		if err := p.Channels().Send(id, false, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if e := r.sink.wait(t, p.conn, plane.DataMessage); string(e.Data) != "hello" || e.Binary {
			t.Errorf("message %+v", e)
		}
		if err := r.SendData(p.conn, id, true, []byte("welcome")); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-got:
			if s != "welcome" {
				t.Errorf("got %q", s)
			}
		case <-time.After(patience):
			t.Fatal("no message")
		}
		r.Close(p.conn, "bye")
		r.sink.wait(t, p.conn, plane.DataClosed)
	}
}
