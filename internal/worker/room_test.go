package worker

import (
	"fmt"
	"net"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/transport/ice"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newConn() ids.Connection { return ids.NewConnection() }

// TestTwoShards: one room over two shards, the publisher on one, receivers on
// both; leaving takes the bridges down again.
func TestTwoShards(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Workers, c.Caps.LinksPerShard = 2, 1 })
	pub := r.connect(join{})
	subs := []*peer{r.connect(join{}), r.connect(join{}), r.connect(join{})}
	track := pub.publish()
	var names []ids.Subscription
	onShard := map[uint16]int{}
	for i, s := range subs {
		names = append(names, s.play(track, uint32(10+i)))
		onShard[s.server.Port()]++
	}
	if len(onShard) != 2 {
		t.Fatalf("receivers sit on %d shards", len(onShard))
	}
	r.settle()
	for i := range uint16(100) {
		payload := fmt.Sprint("frame ", i)
		if err := pub.SendRTP(header(i, 1), []byte(payload)); err != nil {
			t.Fatal(err)
		}
		for n, s := range subs {
			s.expect(i, uint32(10+n), payload)
		}
	}
	for _, n := range names {
		r.Unsubscribe(n)
	}
	r.settle()
	r.stop()
	remotes, tracks := 0, 0
	for _, e := range r.engines {
		for _, tr := range e.tracks {
			tracks++
			remotes += len(tr.remotes)
		}
	}
	if remotes != 0 || tracks != 0 {
		t.Errorf("%d tracks, %d bridges left", tracks, remotes)
	}
}

// TestBooks: names resolve or are refused; what a link leaves behind is freed.
func TestBooks(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.connect(join{}), r.connect(join{})
	other := r.connect(join{conf: "conf_other"})
	track := a.publish()
	if err := r.Publish(plane.Track{Conn: a.conn, Track: track}); err == nil {
		t.Error("published twice")
	}
	if err := r.Subscribe(plane.Subscription{Sub: "sub_x", Track: track, Conn: other.conn}); err == nil {
		t.Error("subscribed across conferences")
	}
	if err := r.Subscribe(plane.Subscription{Sub: "sub_x", Track: "trk_none", Conn: b.conn}); err == nil {
		t.Error("subscribed to nothing")
	}
	if err := r.Subscribe(plane.Subscription{Sub: "sub_slot", Slot: true, Conn: b.conn}); err != nil {
		t.Error("an empty slot: ", err)
	}
	for _, err := range []error{
		r.Configure("conn_none", plane.LegMedia{}), r.Publish(plane.Track{Conn: "conn_none"}),
		r.Subscribe(plane.Subscription{Conn: "conn_none"}), r.SendData("conn_none", 0, false, nil),
	} {
		if err == nil {
			t.Error("an unknown connection was taken")
		}
	}
	r.Close("conn_none", "")
	r.Unpublish("conf_test", "trk_none")
	r.Unsubscribe("sub_none")
	r.Mute("conf_test", "trk_none", true)
	r.Mute("conf_test", track, true)
	b.play(track, 5)
	r.Close(a.conn, "left")
	r.EndConference("conf_test")
	r.EndConference("conf_none")
	c := r.Counters()
	if c.Links != 1 || c.Conferences != 1 || c.Tracks != 0 || c.Shards[0].Links != 1 {
		t.Errorf("left: %+v", c)
	}
	if len(r.subs) != 0 {
		t.Errorf("%d subscriptions left", len(r.subs))
	}
}

// TestR4_Restart: twenty ICE restarts; the old path serves until the first check
// with the new credentials, and not a packet is lost.
func TestR4_Restart(t *testing.T) {
	r := newRig(t, nil)
	pub, sub := r.connect(join{}), r.connect(join{})
	sub.play(pub.publish(), 7)
	r.settle()
	seq := uint16(0)
	frame := func() {
		t.Helper()
		if err := pub.SendRTP(header(seq, 1), []byte("f")); err != nil {
			t.Fatal(err)
		}
		sub.expect(seq, 7, "f")
		seq++
	}
	for range 20 {
		for _, p := range []*peer{pub, sub} {
			fresh := ice.NewCreds()
			local, err := r.Restart(p.conn, plane.ICECreds{Ufrag: fresh.Ufrag, Pwd: ids.Secret(fresh.Pwd)})
			if err != nil {
				t.Fatal(err)
			}
			frame() // old path, old credentials
			p.Restart(fresh, creds(local))
			frame()
		}
	}
	waitFor(t, "old ufrags forgotten", func() bool {
		r.Counters()
		n := make(chan int, 1)
		r.shards[0].mail.post(func(clock.Time) { _, u := r.shards[0].table.Len(); n <- u })
		return <-n == 2
	})
	frame()
}

// TestR3_AddressChange: a peer's address changes; the way out follows at the
// first authenticated check from the new one, and media from there is taken.
func TestR3_AddressChange(t *testing.T) {
	r := newRig(t, nil)
	pub, sub := r.connect(join{}), r.connect(join{})
	sub.play(pub.publish(), 7)
	r.settle()
	seq := uint16(0)
	for range 5 {
		for _, p := range []*peer{pub, sub} {
			before := r.Counters().Shards[0].PathChanges
			r.leap(2 * time.Second) // the old path grows stale
			if err := p.Rebind(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "path change", func() bool { return r.Counters().Shards[0].PathChanges > before })
			if s, _ := r.Stats(p.conn); s.RemoteAddr != p.LocalAddr() {
				t.Fatalf("server sends to %v, peer is at %v", s.RemoteAddr, p.LocalAddr())
			}
			if err := pub.SendRTP(header(seq, 1), []byte("f")); err != nil {
				t.Fatal(err)
			}
			sub.expect(seq, 7, "f")
			seq++
		}
	}
}

// TestICETCP: publishing and playing over ICE-TCP, beside UDP, on two shards.
func TestICETCP(t *testing.T) {
	r := newRig(t, func(c *Config) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.TCP = []net.Listener{l}
		c.Workers, c.Caps.LinksPerShard = 2, 1
	})
	pub, sub, plain := r.connect(join{tcp: true}), r.connect(join{tcp: true, serverDTLS: true}), r.connect(join{})
	track := pub.publish()
	sub.play(track, 7)
	plain.play(track, 8)
	r.settle()
	for i := range uint16(50) {
		if err := pub.SendRTP(header(i, 1), []byte("over tcp")); err != nil {
			t.Fatal(err)
		}
		sub.expect(i, 7, "over tcp")
		plain.expect(i, 8, "over tcp")
	}
	r.Close(sub.conn, "bye")
	select {
	case b := <-sub.gotRC:
		if string(b) != string(bye) {
			t.Errorf("goodbye %x", b)
		}
	case <-time.After(patience):
		t.Error("no goodbye over TCP")
	}
	sub.wait(sub.Over(), "over") // the server closes the connection
	if n := r.Counters().Links; n != 2 {
		t.Errorf("%d links", n)
	}
}

// TestL3_Churn: receivers come, stay for a frame and vanish without a word;
// everything they cost is given back.
func TestL3_Churn(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Workers = 2 })
	pub := r.connect(join{})
	track := pub.publish()
	seq := uint16(0)
	for range 3 {
		var subs []*peer
		for range 10 {
			s := r.connect(join{})
			s.play(track, 7)
			subs = append(subs, s)
		}
		r.settle()
		if err := pub.SendRTP(header(seq, 1), []byte("f")); err != nil {
			t.Fatal(err)
		}
		for _, s := range subs {
			s.expect(seq, 7, "f")
			s.Vanish()
		}
		seq++
		for range 8 {
			r.leap(5 * time.Second)
			if err := pub.SendRTP(header(seq, 1), []byte("f")); err != nil {
				t.Fatal(err)
			}
			seq++
			// The publisher's frames are its sign of life: wait until they are in.
			waitFor(t, "frame", func() bool { s, _ := r.Stats(pub.conn); return s.PacketsIn == uint64(seq) })
		}
		waitFor(t, "links freed", func() bool { return r.Counters().Links == 1 })
	}
	if n := r.BuffersInUse(); n > 4 {
		t.Errorf("%d buffers in use", n)
	}
}
