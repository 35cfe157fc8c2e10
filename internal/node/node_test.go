package node

import (
	"net/netip"
	"testing"
	"time"

	"parley/internal/config"
)

func addrs(ss ...string) (out []netip.Addr) {
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestDevBindsOneHostAddress(t *testing.T) {
	l := resolve(&config.Server{Dev: true, Workers: 2}, addrs("2001:db8::9", "192.0.2.7"))
	if l.http.String() != "127.0.0.1:8080" || l.udp.String() != "192.0.2.7:7800" {
		t.Errorf("http %v udp %v", l.http, l.udp)
	}
	if len(l.advertise) != 1 || l.advertise[0].String() != "192.0.2.7" || len(l.warnings) != 0 {
		t.Errorf("advertise %v, warnings %q", l.advertise, l.warnings)
	}
}

func TestDevWithoutHostAddressWarns(t *testing.T) {
	l := resolve(&config.Server{Dev: true}, nil)
	if !l.udp.Addr().IsLoopback() || len(l.warnings) == 0 {
		t.Errorf("udp %v, warnings %q", l.udp, l.warnings)
	}
}

func TestOpenServerListensEverywhereAndAnnouncesAll(t *testing.T) {
	l := resolve(&config.Server{}, addrs("192.0.2.7", "2001:db8::9"))
	if l.http.String() != "[::]:8443" || l.udp.String() != "[::]:7800" || len(l.advertise) != 2 {
		t.Errorf("%+v", l)
	}
	l = resolve(&config.Server{Advertise: addrs("203.0.113.5")}, addrs("192.0.2.7"))
	if len(l.advertise) != 1 || l.advertise[0].String() != "203.0.113.5" {
		t.Errorf("%+v", l)
	}
}

func TestSelfSignedIsKeptAndRenewed(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1_800_000_000, 0)
	a, own, err := serverCertificate("", "", dir, addrs("192.0.2.7"), now)
	if err != nil || !own {
		t.Fatal(own, err)
	}
	b, _, err := serverCertificate("", "", dir, addrs("192.0.2.7"), now.Add(time.Hour))
	if err != nil || string(a.Certificate[0]) != string(b.Certificate[0]) {
		t.Error("made anew without need", err)
	}
	c, _, err := serverCertificate("", "", dir, addrs("192.0.2.8"), now)
	if err != nil || string(c.Certificate[0]) == string(b.Certificate[0]) {
		t.Error("kept though the host has a new address", err)
	}
	d, _, err := serverCertificate("", "", dir, addrs("192.0.2.8"), now.Add(selfSignedLife))
	if err != nil || string(d.Certificate[0]) == string(c.Certificate[0]) {
		t.Error("kept though expired", err)
	}
}
