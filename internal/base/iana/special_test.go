package iana

import (
	"net/netip"
	"testing"
)

func TestSpecial(t *testing.T) {
	for s, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "::": true, "::ffff:127.0.0.1": true, "::ffff:7f00:1": true, "169.254.169.254": true, "10.1.2.3": true,
		"172.31.255.255": true, "172.32.0.1": false, "192.168.0.1": true, "100.64.0.1": true, "0.0.0.0": true, "255.255.255.255": true,
		"224.0.0.1": true, "fe80::1%eth0": true, "fd00::1": true, "64:ff9b::7f00:1": true, "2002:7f00:1::": true, "::7f00:1": true, "::ffff:0:7f00:1": true,
		"8.8.8.8": false, "2606:4700::1111": false, "::ffff:8.8.8.8": false, "2a01:4f8::1": false, "ff02::1": true,
	} {
		if got := Special(netip.MustParseAddr(s)); got != want {
			t.Errorf("Special(%s) = %v", s, got)
		}
	}
	if !Special(netip.Addr{}) {
		t.Error("no address at all passed")
	}
}
