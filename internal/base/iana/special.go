// Package iana knows the address ranges that are not ordinary places on the
// internet: the special-purpose registries of RFC 6890 and what IPv6 wraps
// around IPv4. A server that opens connections where others tell it to asks
// here first. Pure functions.
package iana

import "net/netip"

// special are the IANA special-purpose registries, multicast and reserved space
// included; one range too many costs an odd webhook, one too few the machine
// next door.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Special reports whether an address is of a special range, in any spelling;
// an invalid address is.
func Special(a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
