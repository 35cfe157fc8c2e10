package sctp

import (
	"runtime"
	"testing"
	"time"

	"github.com/pion/datachannel"
	pionsctp "github.com/pion/sctp"

	"parley/internal/transport/dtls"
)

// side is one end of a DTLS association over an in-memory path.
type side struct {
	conn *dtls.Conn
	in   chan []byte
	done chan error
	quit chan struct{}
}

func (s *side) pump() {
	for {
		select {
		case d := <-s.in:
			s.conn.HandleDatagram(d)
		case <-s.quit:
			return
		}
	}
}

func dtlsPair(t *testing.T, firstData func(server *dtls.Conn)) (client, server *side) {
	t.Helper()
	pool := dtls.NewPool(dtls.Limits{})
	var ids [2]*dtls.Identity
	var sides [2]*side
	for i := range 2 {
		id, err := dtls.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
		sides[i] = &side{in: make(chan []byte, 1024), done: make(chan error, 1), quit: make(chan struct{})}
	}
	for _, i := range []int{1, 0} { // the server first
		h, v := ids[1-i].Fingerprint()
		me, other := sides[i], sides[1-i]
		cfg := dtls.Config{
			Identity: ids[i], Client: i == 0, Fingerprints: []dtls.Fingerprint{{Hash: h, Value: v}}, KeepData: true,
			Send: func(d []byte) {
				select {
				case other.in <- d:
				default:
				}
			},
			Done: func(_ dtls.Keys, err error) { me.done <- err },
		}
		if i == 1 {
			cfg.FirstData = func() { firstData(me.conn) }
		}
		me.conn = pool.Start(cfg)
	}
	for _, s := range sides {
		go s.pump()
		t.Cleanup(func() { s.conn.Close(); close(s.quit) })
	}
	for _, s := range sides {
		if err := get(t, s.done); err != nil {
			t.Fatal(err)
		}
	}
	return sides[0], sides[1]
}

// TestOverDTLS is the way of the product: SCTP begins when the first data
// arrives on a kept DTLS connection, and ends with it.
func TestOverDTLSStartsOnFirstUse(t *testing.T) {
	started := make(chan *Association, 2)
	msgs, ended := make(chan string, 10), make(chan error, 1)
	client, server := dtlsPair(t, func(c *dtls.Conn) {
		started <- Start(Config{Conn: c.Data(), Server: true,
			OnOpen:    func(uint16, string) {},
			OnMessage: func(_ uint16, _ bool, b []byte) { msgs <- string(b) },
			OnClose:   func(uint16) {},
			OnEnd:     func(err error) { ended <- err }})
	})
	if len(started) != 0 {
		t.Fatal("started unasked")
	}
	before, g := heap(), runtime.NumGoroutine()
	assoc, err := pionsctp.ClientWithOptions(pionsctp.WithNetConn(client.conn.Data()),
		pionsctp.WithLoggerFactory(quiet), pionsctp.WithRTOMax(1000))
	if err != nil {
		t.Fatal(err)
	}
	ours := get(t, started)
	dc, err := datachannel.Dial(assoc, 0, &datachannel.Config{Label: "chat", LoggerFactory: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dc.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if m := get(t, msgs); m != "hello" {
		t.Fatal(m)
	}
	t.Logf("both ends with one channel: %d B, %d goroutines", int64(heap())-int64(before), runtime.NumGoroutine()-g)
	server.conn.Close() // the connection ends: so does the association
	get(t, ended)
	ours.Wait()
	_ = assoc.Close()
	select {
	case <-started:
		t.Fatal("started twice")
	case <-time.After(0):
	}
}
