package origin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is how many entries of a header are looked at; a way through more
// proxies of one's own is a mistake.
const maxHops = 16

// Proxies are the reverse proxies in front of this server, and what they say of
// whom they speak for. Only what one of them adds is believed: entries are read
// from the right, and the first address that is no proxy is the client. What the
// client wrote itself stands left of it.
type Proxies struct {
	Trusted []netip.Prefix
	// Forwarded reads the header of RFC 7239; else X-Forwarded-For and
	// X-Forwarded-Proto. Only one of the two is looked at: a proxy passes on
	// untouched what clients put into the other.
	Forwarded bool
}

// secureKey marks a request whose client came by TLS to a trusted proxy.
type secureKey struct{}

// Secure reports whether the client's connection is encrypted, here or at a
// trusted proxy.
func Secure(r *http.Request) bool {
	s, _ := r.Context().Value(secureKey{}).(bool)
	return r.TLS != nil || s
}

// Handler lets next see the client's address in RemoteAddr, without a port, when
// a request comes from a trusted proxy.
func (p Proxies) Handler(next http.Handler) http.Handler {
	if len(p.Trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !p.trusts(peer.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		addr, secure := p.client(peer.Addr().Unmap(), r.Header)
		r = r.WithContext(context.WithValue(r.Context(), secureKey{}, secure))
		r.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
		next.ServeHTTP(w, r)
	})
}

func (p Proxies) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.Trusted, func(t netip.Prefix) bool { return t.Contains(a) })
}

// client goes from the nearest proxy towards the client as far as proxies are
// trusted. An entry that is no address ends the way at the proxy that wrote it.
func (p Proxies) client(peer netip.Addr, h http.Header) (addr netip.Addr, secure bool) {
	hops := p.hops(h)
	addr = peer
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		a, ok := parseNode(hops[i].node)
		if !ok {
			return addr, hops[i].secure
		}
		if addr, secure = a, hops[i].secure; !p.trusts(a) {
			break
		}
	}
	return addr, secure
}

// hop is what one proxy said.
type hop struct {
	node   string
	secure bool
}

func (p Proxies) hops(h http.Header) (out []hop) {
	if !p.Forwarded {
		proto := list(h, "X-Forwarded-Proto")
		secure := len(proto) > 0 && strings.EqualFold(proto[len(proto)-1], "https") // the nearest proxy's word
		for _, node := range list(h, "X-Forwarded-For") {
			out = append(out, hop{node, secure})
		}
		return out
	}
	for _, e := range split(strings.Join(h.Values("Forwarded"), ","), ',') {
		var x hop
		for _, pair := range split(e, ';') {
			k, v, _ := strings.Cut(pair, "=")
			switch v = strings.Trim(v, `"`); strings.ToLower(strings.TrimSpace(k)) {
			case "for":
				x.node = v
			case "proto":
				x.secure = strings.EqualFold(v, "https")
			}
		}
		out = append(out, x)
	}
	return out
}

func list(h http.Header, name string) []string {
	return split(strings.Join(h.Values(name), ","), ',')
}

// split cuts at sep outside of quotes and trims; nothing at all is no element. It
// works from the right, so that a quote which the client left open swallows
// nothing that a proxy wrote after it.
func split(s string, sep byte) (out []string) {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	end, quoted := len(s), false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			out, end = append(out, strings.TrimSpace(s[i+1:end])), i
		}
	}
	out = append(out, strings.TrimSpace(s[:end]))
	slices.Reverse(out)
	return out
}

// parseNode reads an address with or without a port (RFC 7239, section 6). An
// obfuscated or unknown one is none.
func parseNode(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	a = a.Unmap().WithZone("")
	return a, !a.IsUnspecified() && !a.IsMulticast()
}
