package plain

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Group is the sockets of one multicast session (RFC 3550, section 11): RTP to
// the group's port, RTCP to the port above. With any-source multicast the
// group's RTCP is heard as well, and its RTP, since others may send there; with
// a single source (RFC 4607) only what receivers send to us by unicast is.
type Group struct {
	group     netip.AddrPort
	out       *net.UDPConn // sends RTP; hears nothing
	rtcp      *net.UDPConn // sends RTCP, and is the feedback target
	in        []*net.UDPConn
	outlets   outlets
	home      *Range
	index     int
	once      sync.Once
	local     netip.AddrPort
	localRTCP netip.AddrPort
}

// GroupConfig opens a [Group].
type GroupConfig struct {
	Group     netip.AddrPort
	TTL       int
	Interface string // name; "" lets the system choose
	Local     netip.Addr
	Source    bool // single source: do not join
	Loop      bool // let this host hear it as well
}

// OpenGroup makes the sockets, on a pair of the range for what we send from.
func (r *Range) OpenGroup(c GroupConfig) (*Group, error) {
	if !c.Group.Addr().IsMulticast() || c.Group.Port() == 0 {
		return nil, fmt.Errorf("plain: %s is no multicast group", c.Group)
	}
	ifi, err := interfaceOf(c.Interface)
	if err != nil {
		return nil, err
	}
	any := netip.IPv4Unspecified()
	if c.Group.Addr().Is6() {
		any = netip.IPv6Unspecified()
	}
	pair, err := r.Open(any, false)
	if err != nil {
		return nil, err
	}
	g := &Group{group: c.Group, out: pair.rtp, rtcp: pair.rtcp, outlets: pair.out, home: r, index: pair.index}
	for _, conn := range []*net.UDPConn{g.out, g.rtcp} {
		if err := steer(conn, c, ifi); err != nil {
			g.Close()
			return nil, err
		}
	}
	g.local = netip.AddrPortFrom(sourceOf(c, ifi), pair.port)
	g.localRTCP = netip.AddrPortFrom(g.local.Addr(), pair.port+1)
	if !c.Source {
		if err := g.join(c, ifi); err != nil {
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

func interfaceOf(name string) (*net.Interface, error) {
	if name == "" {
		return nil, nil
	}
	return net.InterfaceByName(name)
}

// join hears the group's own ports.
func (g *Group) join(c GroupConfig, ifi *net.Interface) error {
	network := "udp4"
	if c.Group.Addr().Is6() {
		network = "udp6"
	}
	for port := range uint16(2) {
		conn, err := net.ListenMulticastUDP(network, ifi, &net.UDPAddr{IP: c.Group.Addr().AsSlice(), Port: int(c.Group.Port() + port)})
		if err != nil {
			return err
		}
		g.in = append(g.in, conn)
	}
	return nil
}

// sourceOf is the address that receivers see.
func sourceOf(c GroupConfig, ifi *net.Interface) netip.Addr {
	if ifi == nil {
		return c.Local
	}
	list, _ := ifi.Addrs()
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == c.Group.Addr().Is4() {
			return p.Addr()
		}
	}
	return c.Local
}

// Local returns what we send RTP from, and RTCP.
func (g *Group) Local() (rtp, rtcp netip.AddrPort) { return g.local, g.localRTCP }

// Target returns the group's RTP and RTCP addresses.
func (g *Group) Target() (rtp, rtcp netip.AddrPort) { return g.group, above(g.group) }

// Start implements [Sockets].
func (g *Group) Start(h Handler) error {
	err := errors.Join(g.home.reader.watch(g.out, false, h), g.home.reader.watch(g.rtcp, true, h))
	for i, conn := range g.in {
		err = errors.Join(err, g.home.reader.watch(conn, i == 1, h))
	}
	return err
}

// Send implements [Sockets].
func (g *Group) Send(rtcp bool, to netip.AddrPort, b []byte) Sent {
	return g.outlets.send(rtcp, to, b)
}

// Close implements [Sockets].
func (g *Group) Close() {
	g.once.Do(func() {
		g.home.shut(g.out, g.rtcp)
		g.home.shut(g.in...)
		g.home.give(g.index)
	})
}
