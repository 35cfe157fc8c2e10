package node

import (
	"net"
	"net/netip"
	"runtime"

	"parley/internal/config"
)

// Default ports, chosen where nothing common listens.
const (
	devHTTPPort = 8080
	httpPort    = 8443
	udpPort     = 7800
	maxWorkers  = 16 // by default; a bigger machine says --workers
)

// listen is where a node listens and what it tells clients, after defaults.
type listen struct {
	http      netip.AddrPort
	udp       netip.AddrPort
	advertise []netip.Addr
	workers   int
	warnings  []string
}

// resolve fills in what the operator left open. hosts are this machine's
// addresses, best first.
func resolve(c *config.Server, hosts []netip.Addr) listen {
	l := listen{workers: c.Workers}
	if l.workers == 0 {
		l.workers = min(runtime.NumCPU(), maxWorkers)
	}
	l.http = c.HTTP.AddrPort()
	if c.HTTP.IsZero() {
		l.http = netip.AddrPortFrom(netip.IPv6Unspecified(), httpPort)
		if c.Dev {
			l.http = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), devHTTPPort)
		}
	}
	l.udp = c.UDP.AddrPort()
	if c.UDP.IsZero() {
		l.udp = netip.AddrPortFrom(netip.IPv6Unspecified(), udpPort)
		if c.Dev {
			l.udp = netip.AddrPortFrom(devHost(hosts, &l), udpPort)
		}
	}
	l.advertise = c.Advertise
	if len(l.advertise) == 0 {
		l.advertise = announced(l.udp.Addr(), hosts, &l)
	}
	return l
}

// devHost is one address of this host that every browser accepts as a candidate.
func devHost(hosts []netip.Addr, l *listen) netip.Addr {
	for _, h := range hosts {
		if h.Is4() {
			return h
		}
	}
	if len(hosts) > 0 {
		return hosts[0]
	}
	l.warnings = append(l.warnings, "this machine has no address but loopback: Firefox and aiortc will not connect to 127.0.0.1")
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// announced are the addresses for candidates when none are configured.
func announced(bound netip.Addr, hosts []netip.Addr, l *listen) []netip.Addr {
	if !bound.IsUnspecified() {
		if bound.IsLoopback() {
			l.warnings = append(l.warnings, "media is bound to loopback: only Chromium on this machine will connect")
		}
		return []netip.Addr{bound}
	}
	if len(hosts) == 0 {
		l.warnings = append(l.warnings, "no address but loopback to announce; use --advertise")
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return hosts
}

// hostAddrs lists this machine's global unicast addresses, IPv4 first.
func hostAddrs() []netip.Addr {
	as, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var v4, v6 []netip.Addr
	for _, a := range as {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := p.Addr().Unmap(); {
		case ip.IsLoopback() || ip.IsLinkLocalUnicast() || !ip.IsGlobalUnicast():
		case ip.Is4():
			v4 = append(v4, ip)
		default:
			v6 = append(v6, ip)
		}
	}
	return append(v4, v6...)
}
