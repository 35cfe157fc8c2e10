package worker

import (
	"fmt"
	"net/netip"

	"parley/internal/media/plane"
)

// candidates lists what is announced for a shard: for each advertised address a
// UDP host candidate and, with TCP on, a passive TCP one (RFC 6544).
func candidates(advertise []netip.Addr, udpPort, tcpPort uint16) []plane.Candidate {
	var out []plane.Candidate
	for i, a := range advertise {
		// RFC 8421: earlier addresses of the list, and IPv6 before IPv4 where the
		// operator lists it first, get the higher local preference.
		pref := uint32(65535 - i)
		out = append(out, plane.Candidate{
			Foundation: fmt.Sprintf("u%d", i+1), Component: 1, Transport: "udp",
			Priority: hostPriority(pref), Addr: netip.AddrPortFrom(a, udpPort), Typ: "host",
		})
	}
	if tcpPort == 0 {
		return out
	}
	for i, a := range advertise {
		out = append(out, plane.Candidate{
			Foundation: fmt.Sprintf("t%d", i+1), Component: 1, Transport: "tcp",
			Priority: tcpPassivePriority(uint32(8191 - i)), Addr: netip.AddrPortFrom(a, tcpPort), Typ: "host", TCPType: "passive",
		})
	}
	return out
}

// hostPriority is RFC 8445, section 5.1.2.1, with type preference 126 and
// component 1.
func hostPriority(local uint32) uint32 { return 126<<24 | local<<8 | 255 }

// tcpPassivePriority uses the type preference 90 so that any UDP path wins
// (RFC 6544, section 4.2: TCP below UDP), and direction preference 4 for a
// passive host candidate in the top three bits of the local preference.
func tcpPassivePriority(other uint32) uint32 { return 90<<24 | (4<<13|other)<<8 | 255 }
