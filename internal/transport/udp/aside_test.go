package udp

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestRTCPIsPutAside: RTCP ends no Read and is found aside; all else comes as ever.
func TestRTCPIsPutAside(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::]:0"} {
		s, err := Listen(netip.MustParseAddrPort(at), Config{Aside: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if !s.Info().Fast {
			t.Log("no fast sockets here")
			return
		}
		if !s.Info().Aside {
			t.Fatal("nothing is put aside")
		}
		if _, err := Listen(s.Info().Local, Config{Aside: true}); err == nil {
			t.Error("the address can be had twice")
		}
		port := s.Info().Local.Port()
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, b := range []string{"\x80\xc8rtcp", "\x80\x60rtp", "\x81\xdfrtcp", "\x16\xfedtls", "\x00\x01stun", "\x90\xe0rtp", "\x80", "\xc0\xc8odd"} {
			if _, err := c.Write([]byte(b)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		batch, side := s.NewBatch(), s.NewAsideBatch()
		for end := time.Now().Add(10 * time.Second); len(got) < 6 && time.Now().Before(end); {
			if _, err := s.Read(batch, time.Now().Add(100*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			for _, d := range batch.Items {
				got = append(got, string(d.B))
			}
		}
		if len(got) != 6 {
			t.Errorf("%q", got)
		}
		n, err := s.Aside(side)
		if err != nil || n != 2 || string(side.Items[0].B) != "\x80\xc8rtcp" || side.Items[1].From.Port() != uint16(c.LocalAddr().(*net.UDPAddr).Port) {
			t.Errorf("%d aside, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n, _ := s.Aside(side); n != 0 {
			t.Error("read after the end")
		}
	}
}
