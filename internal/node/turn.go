package node

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"

	"parley/api"
	"parley/internal/config"
	"parley/internal/transport/turn"
)

// turnPort is the one that RFC 8656, section 20 gives the protocol.
const turnPort = 3478

// turnConfig is how the embedded TURN server listens and relays. What the operator
// left open follows the media port: where that is bound, relays are.
func turnConfig(c *config.Server, l listen, own []netip.Addr, cert *tls.Config) turn.Config {
	t := turn.Config{Ports: turn.Ports{Min: c.TURNPorts.Low, Max: c.TURNPorts.High}, Allow: c.TURNAllow, Own: append(own, l.advertise...), TLS: cert}
	t.Listen = c.TURN.AddrPort()
	if c.TURN.IsZero() {
		t.Listen, t.PickPort = netip.AddrPortFrom(l.udp.Addr(), turnPort), true
	}
	at := t.Listen.Addr()
	for _, a := range l.advertise {
		bind := at
		if at.IsUnspecified() {
			bind = netip.IPv6Unspecified()
			if a.Is4() {
				bind = netip.IPv4Unspecified()
			}
		}
		if bind.Is4() != a.Is4() || hasFamily(t.Relays, a) {
			continue
		}
		t.Relays = append(t.Relays, turn.Relay{Bind: bind, Announce: a})
	}
	if len(t.Relays) == 0 { // its own address, other than media's
		t.Relays = []turn.Relay{{Bind: at, Announce: at}}
	}
	return t
}

func hasFamily(rs []turn.Relay, a netip.Addr) bool {
	for _, r := range rs {
		if r.Announce.Is4() == a.Is4() {
			return true
		}
	}
	return false
}

// ownAddrs lists every address of this machine, special ones too.
func ownAddrs() (out []netip.Addr) {
	as, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range as {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// openTURN binds the TURN server, if there is to be one.
func (n *Node) openTURN(cert *tls.Config) (err error) {
	if n.cfg.TURN.Off {
		return nil
	}
	n.turnCert = cert
	n.turn, err = turn.New(turnConfig(n.cfg, n.listen, ownAddrs(), cert))
	if err == nil && n.turn.Moved() {
		n.log.Warn("the port for TURN is in use; another one was taken", "port", n.turn.Addr().Port())
	}
	return err
}

// iceServers are what a user's devices need to reach one another.
func (n *Node) iceServers(user string) []api.ICEServer {
	if n.turn == nil {
		return nil
	}
	name, password := n.turn.Credentials(user, user)
	return []api.ICEServer{{URLs: n.turn.URLs(n.turnHost()), Username: name, Credential: password}}
}

// turnHost is the name under which browsers accept the certificate: the first one
// of the operator's; a self-signed one they refuse for TURN without asking.
func (n *Node) turnHost() string {
	if n.cfg.TLSCert == "" || n.turnCert == nil || len(n.turnCert.Certificates) == 0 {
		return ""
	}
	leaf, err := x509.ParseCertificate(n.turnCert.Certificates[0].Certificate[0])
	if err != nil {
		return ""
	}
	for _, name := range leaf.DNSNames {
		if !strings.HasPrefix(name, "*.") {
			return name
		}
	}
	return ""
}
