package origin

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var own = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("127.0.0.1/32")}

// seen is what a handler behind the proxies sees of a request.
func seen(p Proxies, from string, header ...string) (addr string, secure bool) {
	h := p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ap, _ := netip.ParseAddrPort(r.RemoteAddr)
		addr, secure = ap.Addr().String(), Secure(r)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = from
	for _, line := range header {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Add(k, v)
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
	return addr, secure
}

func TestTrustedProxies(t *testing.T) {
	const proxy, stranger = "10.0.0.1:4711", "198.51.100.9:4711"
	rows := []struct {
		name      string
		forwarded bool
		from      string
		header    []string
		want      string
		secure    bool
	}{
		{"a stranger is not believed", false, stranger, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, "198.51.100.9", false},
		{"a proxy is", false, proxy, []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1", false},
		{"what the client wrote is left of it", false, proxy, []string{"X-Forwarded-For: 203.0.113.66, 192.0.2.1"}, "192.0.2.1", false},
		{"over several lines", false, proxy, []string{"X-Forwarded-For: 203.0.113.66", "X-Forwarded-For: 192.0.2.1"}, "192.0.2.1", false},
		{"through two proxies", false, proxy, []string{"X-Forwarded-For: 203.0.113.66, 192.0.2.1, 10.0.0.2"}, "192.0.2.1", false},
		{"a proxy in the client's own words gains nothing", false, proxy, []string{"X-Forwarded-For: 10.0.0.3, 192.0.2.1"}, "192.0.2.1", false},
		{"all of them proxies", false, proxy, []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", false},
		{"nothing said", false, proxy, nil, "10.0.0.1", false},
		{"nonsense", false, proxy, []string{"X-Forwarded-For: 192.0.2.1, unknown"}, "10.0.0.1", false},
		{"nonsense before a proxy", false, proxy, []string{"X-Forwarded-For: nobody, 10.0.0.2"}, "10.0.0.2", false},
		{"an empty element", false, proxy, []string{"X-Forwarded-For: 192.0.2.1,"}, "10.0.0.1", false},
		{"with a port", false, proxy, []string{"X-Forwarded-For: 192.0.2.1:999"}, "192.0.2.1", false},
		{"IPv6", false, "[2001:db8:1::1]:80", []string{"X-Forwarded-For: 2001:db8:2::5"}, "2001:db8:2::5", false},
		{"IPv4 in IPv6", false, "[::ffff:10.0.0.1]:80", []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, "192.0.2.1", false},
		{"by TLS", false, proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, "192.0.2.1", true},
		{"the other header does not count", false, proxy, []string{"Forwarded: for=192.0.2.1"}, "10.0.0.1", false},
		{"nor the other way round", true, proxy, []string{"X-Forwarded-For: 192.0.2.1"}, "10.0.0.1", false},
		{"RFC 7239", true, proxy, []string{`Forwarded: for=203.0.113.66;by=1.2.3.4, For="192.0.2.1:80";proto=https;host=x`}, "192.0.2.1", true},
		{"RFC 7239, IPv6", true, proxy, []string{`Forwarded: for="[2001:db8:2::5]:4711"`}, "2001:db8:2::5", false},
		{"RFC 7239, a comma in quotes", true, proxy, []string{`Forwarded: for=192.0.2.1;host="a,for=10.9.9.9"`}, "192.0.2.1", false},
		{"RFC 7239, an open quote of the client's", true, proxy, []string{`Forwarded: for=203.0.113.66;x=", for="192.0.2.1"`}, "192.0.2.1", false},
		{"RFC 7239, obfuscated", true, proxy, []string{`Forwarded: for=192.0.2.1, for=_hidden`}, "10.0.0.1", false},
		{"RFC 7239, without for", true, proxy, []string{`Forwarded: for=192.0.2.1, proto=https`}, "10.0.0.1", true},
		{"longer than any way", false, proxy, []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(", 10.0.0.2", 5000)}, "10.0.0.2", false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			addr, secure := seen(Proxies{Trusted: own, Forwarded: r.forwarded}, r.from, r.header...)
			if addr != r.want || secure != r.secure {
				t.Errorf("%s, secure %v; want %s, %v", addr, secure, r.want, r.secure)
			}
		})
	}
	if addr, _ := seen(Proxies{}, proxy, "X-Forwarded-For: 192.0.2.1"); addr != "10.0.0.1" {
		t.Errorf("without trusted proxies: %s", addr)
	}
}

// FuzzProxies: whatever a client writes, the last word is the proxy's.
func FuzzProxies(f *testing.F) {
	f.Add("", true)
	f.Add(`for="`, true)
	f.Add(`for=203.0.113.66;x="`, true)
	f.Add("10.0.0.1, [::", false)
	f.Fuzz(func(t *testing.T, said string, forwarded bool) {
		header, last := "X-Forwarded-For: ", "192.0.2.1"
		if forwarded {
			header, last = "Forwarded: ", `for="192.0.2.1:80"`
		}
		if addr, _ := seen(Proxies{Trusted: own, Forwarded: forwarded}, "10.0.0.1:1", header+said+", "+last); addr != "192.0.2.1" {
			t.Errorf("%q: %s", said, addr)
		}
	})
}
