package dtls

import (
	"testing"
	"time"
)

// TestPeerClosed: a detached or kept side learns that the other left, in both
// roles, and forged alerts tell it nothing.
func TestPeerClosedIsToldByAnAuthenticAlert(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for _, leaver := range []string{"client", "server"} {
			gone := make(chan struct{}, 10)
			stays := func(c *Config) {
				c.KeepData = keep
				c.PeerClosed = func() { gone <- struct{}{} }
			}
			o := pairOptions{client: func(c *Config) { c.KeepData = keep }, server: stays}
			if leaver == "server" {
				o = pairOptions{client: stays, server: o.client}
			}
			p := start(t, o)
			p.mustConnect(t)
			leaves, remains := p.client, p.server
			if leaver == "server" {
				leaves, remains = remains, leaves
			}
			for i := range 200 {
				remains.HandleDatagram(rec(contentAlert, 1, uint64(i), make([]byte, 26)))
				remains.HandleDatagram(rec(contentAlert, 0, uint64(i), []byte{1, 0}))
			}
			if len(gone) != 0 {
				t.Fatal("believed a forged alert")
			}
			leaves.Close()
			select {
			case <-gone:
			case <-time.After(patience):
				t.Fatalf("keep %v: %s left unnoticed", keep, leaver)
			}
			p.close()
			if len(gone) != 0 {
				t.Fatal("told twice")
			}
		}
	}
}

func FuzzServerHello(f *testing.F) {
	f.Add(rec(contentHandshake, 0, 1, hs(2, 50, 0, 0, make([]byte, 50))))
	f.Add([]byte{22, 0xFE, 0xFD})
	f.Fuzz(func(_ *testing.T, b []byte) {
		s := secretTap{}
		s.serverHello(b)
		_, _ = s.Write(b)
		(&alertKey{}).saysGoodbye(b)
	})
}
