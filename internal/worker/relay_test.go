package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// TestMTR7_RTR6_EqualPacketsUnequalOnTheWire: two browsers of a relayed room are
// sent the same SSRC, numbers and bytes, each under a key of its own, so that
// what lies on the wire differs (rule C11).
func TestMTR7_RTR6_EqualPacketsUnequalOnTheWire(t *testing.T) {
	r := newRig(t, func(c *Config) { c.NewEngine = nil })
	pub := r.connect(join{})
	var subs [2]*peer
	var sealed [2]chan []byte
	for i := range subs {
		c := make(chan []byte, 64)
		sealed[i] = c
		subs[i] = r.connect(join{onSealed: func(_ clock.Time, b []byte) bool {
			put(c, b)
			return true
		}})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.Configure(pub.conn, sending(0x11111111, 2)))
	must(r.Publish(plane.Track{Conf: "conf_test", Conn: pub.conn, Track: "trk_a", MID: "0", Kind: plane.Audio, CNAME: "c"}))
	for i, p := range subs {
		must(r.Configure(p.conn, receiving(uint32(0x51+i), uint32(0x61+i))))
		must(r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: ids.Subscription(fmt.Sprint("sub_", i)), Track: "trk_a", Conn: p.conn, MID: "0", SSRC: uint32(0x51 + i), Topology: "relay"}))
	}
	r.settle()
	for i := range uint16(10) {
		text := fmt.Sprint("the same words for both ", i)
		must(pub.SendRTP(sound(700+i, 0x11111111, "")[:12], []byte(text)))
		for _, p := range subs {
			select {
			case b := <-p.got:
				if binary.BigEndian.Uint32(b[8:]) != 0x11111111 || binary.BigEndian.Uint16(b[2:]) != 700+i || !bytes.HasSuffix(b, []byte(text)) {
					t.Fatalf("%x", b)
				}
			case <-time.After(patience):
				t.Fatal("no packet")
			}
		}
		x, y := <-sealed[0], <-sealed[1]
		if !bytes.Equal(x[:12], y[:12]) || bytes.Equal(x[12:], y[12:]) || bytes.Contains(x, []byte("words")) {
			t.Fatalf("\n%x\n%x", x, y)
		}
	}
	// Their reports reach the publisher as they are.
	must(subs[1].SendRTCP([]byte{0x81, 201, 0, 7, 0, 0, 0, 9, 0x11, 0x11, 0x11, 0x11, 99, 0, 0, 1, 0, 0, 2, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
	limit := time.After(patience)
	for {
		select {
		case b := <-pub.gotRC:
			if len(b) == 32 && b[12] == 99 && b[7] == 9 {
				return
			}
		case <-limit:
			t.Fatal("the report did not cross")
		}
	}
}
