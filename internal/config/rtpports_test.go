package config

import (
	"reflect"
	"testing"
)

func TestPortRange(t *testing.T) {
	var p PortRange
	if err := p.UnmarshalText([]byte("20000-20999")); err != nil || p != (PortRange{20000, 20999}) || p.String() != "20000-20999" {
		t.Errorf("%v %v", p, err)
	}
	for _, bad := range []string{"", "20000", "20000-", "-20000", "20999-20000", "20000-20000", "80-100", "20000-70000", "a-b", "1-2-3"} {
		if err := new(PortRange).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestRTPPortsApartFromUDP(t *testing.T) {
	clash := func(c Server) bool {
		c.Data, c.RTPPorts = t.TempDir(), PortRange{20000, 20999}
		for _, p := range c.Validate() {
			if p.Key == "rtp-ports" {
				return true
			}
		}
		return false
	}
	if clash(Server{UDP: Endpoint{Port: 7800}}) || !clash(Server{UDP: Endpoint{Port: 20500}}) || !clash(Server{UDP: Endpoint{Port: 19999}, Workers: 2}) || clash(Server{UDP: Endpoint{Port: 21000}}) {
		t.Error("clash with --udp misjudged")
	}
}

func TestPortsAskedForTwice(t *testing.T) {
	c := Server{UDP: Endpoint{Port: 7800}, RTPPorts: PortRange{20000, 20999}, TURNPorts: PortRange{30000, 30999}, TURN: Listener{Endpoint: Endpoint{Port: 3478}}}
	for _, x := range []struct {
		change func(*Server)
		key    string
	}{
		{func(*Server) {}, ""},
		{func(c *Server) { c.TURNPorts = PortRange{20900, 21500} }, "turn-ports"},
		{func(c *Server) { c.TURNPorts = PortRange{7000, 7800} }, "turn-ports"},
		{func(c *Server) { c.TURN.Port = 30500 }, "turn"},
		{func(c *Server) { c.UDP.Port, c.TURNPorts = 49500, defaultTURNPorts }, ""},
		{func(c *Server) { c.UDP.Port, c.TURNPorts = 49500, PortRange{49160, 50160} }, "turn-ports"},
		{func(c *Server) { c.TURN.Port = 7800 }, "turn"},
		{func(c *Server) { c.TURN.Port, c.TURN.Off = 7800, true }, ""},
	} {
		c := c
		x.change(&c)
		var got string
		c.checkPorts(func(key, _ string, _ ...any) { got += key })
		if got != x.key {
			t.Errorf("%+v: %q, want %q", c, got, x.key)
		}
	}
}

func TestDefaultOfTURNPorts(t *testing.T) {
	f, _ := reflect.TypeFor[Server]().FieldByName("TURNPorts")
	var r PortRange
	if err := r.UnmarshalText([]byte(f.Tag.Get("default"))); err != nil || r != defaultTURNPorts {
		t.Errorf("%v, %v; want %v", r, err, defaultTURNPorts)
	}
}
