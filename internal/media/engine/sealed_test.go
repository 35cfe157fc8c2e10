package engine_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/media/plane"
)

// Frames that are encrypted end to end (SFrame) pass as they came, though they
// are noise beyond the bytes that VP8 leaves clear: a key frame is known, what is
// lost is asked for, and header fields are the receiver's own.
func TestE1_EncryptedPayloadsPassUnchanged(t *testing.T) {
	const seed = 9605
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video, plane.Audio)
	x, a := p.prepare("0", plane.Video, 0xB0000001), p.prepare("1", plane.Audio, 0xB0000002)
	x.track.Encrypted, a.track.Encrypted = true, true
	p.announce(x)
	p.announce(a)
	v, h := r.subscriber(0, 1, plane.Video), r.subscriber(0, 1, plane.Audio)
	s, sound := v.subscribe(x, plane.Subscription{}), h.subscribe(a, plane.Subscription{})
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	var pictures, sounds [][]byte
	for i := range 60 {
		clear := vp8Inter
		if i%20 == 0 {
			clear = append(bytes.Clone(vp8Key), 0x40, 0x01, 0xF0, 0x00)
		}
		first := append(bytes.Clone(clear), noise(900)...)
		// Of the second packet of a picture everything is noise but the descriptor.
		for k, b := range [][]byte{first, append([]byte{0x00}, noise(700)...)} {
			x.send(b, k == 1)
			pictures = append(pictures, b)
		}
		x.ts += 3000
		b := noise(80)
		a.send(b, false)
		sounds = append(sounds, b)
		a.ts += 960
		r.run(20 * time.Millisecond)
	}
	for name, c := range map[string]struct {
		who  *peer
		ssrc uint32
		from *pub
		want [][]byte
	}{"pictures": {v, s.SSRC, x, pictures}, "sound": {h, sound.SSRC, a, sounds}} {
		got := c.who.rtpGot(c.ssrc)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %d packets of %d", name, len(got), len(c.want))
		}
		for i, q := range got {
			if !bytes.Equal(q.Payload, c.want[i]) {
				t.Fatalf("%s: payload %d was changed", name, i)
			}
			if q.SSRC == c.from.ssrc || q.PayloadType == c.from.pt {
				t.Fatalf("%s: header of %d is the publisher's: %+v", name, i, q.Header)
			}
		}
	}
}
