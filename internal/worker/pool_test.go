package worker

import (
	"fmt"
	"testing"
)

// TestPublishPlay: a packet goes in at one peer and comes out at two, in both
// DTLS roles.
func TestPublishPlay(t *testing.T) {
	for _, serverDTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("serverIsDTLSClient=%v", serverDTLS), func(t *testing.T) {
			r := newRig(t, nil)
			pub, a, b := r.connect(join{serverDTLS: serverDTLS}), r.connect(join{}), r.connect(join{serverDTLS: serverDTLS})
			track := pub.publish()
			a.play(track, 0xa)
			b.play(track, 0xb)
			r.settle()
			for i := range uint16(50) {
				payload := fmt.Sprintf("frame %d", i)
				if err := pub.SendRTP(header(i, 1), []byte(payload)); err != nil {
					t.Fatal(err)
				}
				a.expect(i, 0xa, payload)
				b.expect(i, 0xb, payload)
			}
			s, ok := r.Stats(a.conn)
			if !ok || s.State != "connected" || s.PacketsOut != 50 || s.Profile != "SRTP_AEAD_AES_128_GCM" || s.RemoteAddr != a.LocalAddr() {
				t.Errorf("stats %+v %v", s, ok)
			}
			r.Close(a.conn, "bye")
			select {
			case got := <-a.gotRC:
				if string(got) != string(bye) {
					t.Errorf("goodbye %x", got)
				}
			case <-a.Over():
				t.Error("peer ended before the BYE")
			}
			if _, ok := r.Stats(a.conn); ok {
				t.Error("closed link still has stats")
			}
		})
	}
}
