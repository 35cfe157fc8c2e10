package node

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/turn/v5"

	"parley/internal/config"
)

// relayed is a client of the server's TURN with an allocation, by the credentials
// that the server itself gives a user.
func relayed(t *testing.T, n *Node, user string) (*pion.Client, net.PacketConn) {
	t.Helper()
	servers := n.iceServers(user)
	if len(servers) != 1 || len(servers[0].URLs) != 2 {
		t.Fatalf("%+v", servers)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(servers[0].URLs[0], "turn:"), "?transport=udp")
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pion.NewClient(&pion.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Conn: conn, Username: servers[0].Username, Password: servers[0].Credential, Realm: "parley",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relay.Close()
		c.Close()
		_ = conn.Close()
	})
	return c, relay
}

// TestT1_WholeServer: the relay of a running server, with the credentials that it
// hands out, leads to another relay and to none of its own ports.
func TestT1_WholeServer(t *testing.T) {
	admin := config.Endpoint{Addr: netip.MustParseAddr("127.0.0.1"), Port: freePort(t, "tcp")}
	n := wholeServer(t, func(c *config.Server) {
		c.TURN, c.Admin = config.Listener{}, admin
		c.TURNPorts = config.PortRange{Low: 47100, High: 47199}
	})
	a, fromA := relayed(t, n, "sip:ana@example.net")
	b, fromB := relayed(t, n, "sip:bo@example.net")
	udp := n.pool.Addrs()[0]
	for name, port := range map[string]uint16{"http": n.listen.http.Port(), "admin": admin.Port, "media": udp.Port(), "turn": n.turn.Addr().Port()} {
		err := a.CreatePermission(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("the port for %s: %v, want 403", name, err)
		}
	}
	if err := a.CreatePermission(fromB.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if err := b.CreatePermission(fromA.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{0x80, 0x60}, 600)
	if _, err := fromA.WriteTo(want, fromB.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2000)
	_ = fromB.SetReadDeadline(time.Now().Add(herdWait))
	size, from, err := fromB.ReadFrom(got)
	if err != nil || !bytes.Equal(got[:size], want) || from.String() != fromA.LocalAddr().String() {
		t.Fatalf("%d bytes from %v: %v", size, from, err)
	}
	if s := n.turn.Stats(); s.Refused != 4 || s.Allocations != 2 {
		t.Errorf("%+v", s)
	}
}
