package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"parley/internal/media/plane"
)

// FormatCandidate writes a candidate as after "a=candidate:" (RFC 8839, section
// 5.1, and RFC 6544, section 4.5 for TCP).
func FormatCandidate(c plane.Candidate) string {
	component := max(c.Component, 1)
	typ := c.Typ
	if typ == "" {
		typ = "host"
	}
	s := c.Foundation + " " + strconv.Itoa(component) + " " + c.Transport + " " + u32(c.Priority) + " " +
		c.Addr.Addr().String() + " " + strconv.Itoa(int(c.Addr.Port())) + " typ " + typ
	if c.TCPType != "" {
		s += " tcptype " + c.TCPType
	}
	return s
}

// ParseCandidate reads the text after "candidate:" (a leading "a=" or
// "candidate:" is tolerated). Only IP literals: host names, such as the .local
// names of browsers, are refused, since resolving them would send packets where
// a stranger says.
func ParseCandidate(s string) (plane.Candidate, error) {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(s), "a="), "candidate:")
	f := strings.Fields(s)
	if len(s) > MaxLine || len(f) < 8 || f[6] != "typ" || !token(f[7], 16) || !safe(f[0]) || len(f[0]) > 64 {
		return plane.Candidate{}, bad("candidate %s", quote(s))
	}
	component, err1 := strconv.ParseUint(f[1], 10, 8)
	priority, err2 := strconv.ParseUint(f[3], 10, 32)
	addr, err3 := netip.ParseAddr(f[4])
	port, err4 := strconv.ParseUint(f[5], 10, 16)
	proto := strings.ToLower(f[2]) // GStreamer and Firefox write UDP
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || addr.Zone() != "" || proto != "udp" && proto != "tcp" {
		return plane.Candidate{}, bad("candidate %s", quote(s))
	}
	c := plane.Candidate{
		Foundation: f[0], Component: int(component), Transport: proto, Priority: uint32(priority),
		Addr: netip.AddrPortFrom(addr, uint16(port)), Typ: f[7],
	}
	for i := 8; i+1 < len(f); i += 2 {
		if f[i] == "tcptype" {
			if !token(f[i+1], 16) {
				return plane.Candidate{}, bad("candidate %s", quote(s))
			}
			c.TCPType = f[i+1]
		}
	}
	return c, nil
}
