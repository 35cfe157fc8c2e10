package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/media/rtcp"
)

// Conferences on multicast groups, on loopback.

// TestPlainGroupWithSummaries: the conference goes to a group on loopback; a
// receiver of the test's own reports by unicast and finds itself counted.
func TestPlainGroupWithSummaries(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 0xaaaa)
	a.dial(s, a.offer())
	a.talk(440)
	var leg api.RTPLeg
	s.json("POST", "", "", `{"group":{"group":"233.252.0.40:24990","ttl":1,"interface":"lo","feedback":"rsi"},"name":"Paging"}`, 201, &leg)
	if !strings.Contains(leg.SDP, "a=rtcp-unicast:rsi") || !strings.Contains(leg.SDP, "a=source-filter: incl IN IP4 233.252.0.40 127.0.0.1") {
		t.Fatalf("%s", leg.SDP)
	}
	media, reports := joinGroup(t, "233.252.0.40", 24990), joinGroup(t, "233.252.0.40", 24991)
	d := media.wait(t, "sound", func(b []byte) bool {
		var x []float64
		for _, v := range b[12+4*int(b[0]&0x0f):] {
			x = append(x, float64(linear(v))/32768)
		}
		return power(x, 440) > -30
	})
	ssrc := binary.BigEndian.Uint32(d.b[8:])
	_, at, _ := strings.Cut(leg.SDP, "a=rtcp:")
	at, _, _ = strings.Cut(at, "\r\n")
	var port int
	var host string
	if _, err := fmt.Sscanf(at, "%d IN IP4 %s", &port, &host); err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	rr := rtcp.AppendSDES(rtcp.AppendRR(nil, 0x7777, []rtcp.Block{{SSRC: ssrc, Fraction: 64, Lost: 9}}), 0x7777, "receiver")
	for range 3 {
		if _, err := out.Write(rr); err != nil {
			t.Fatal(err)
		}
	}
	reports.wait(t, "a summary that counts one", func(b []byte) bool {
		var p rtcp.Packet
		for it := rtcp.Parse(b); it.Next(&p); {
			if who, _ := p.Sender(); who == 0x7777 {
				t.Error("a receiver's report on the group")
			}
			if r, ok := p.ReadRSI(); ok {
				return r.Summarised == ssrc && r.Group != nil && r.Group.Size == 1 && r.Stats != nil && r.Stats.MedianFraction == 64
			}
		}
		return false
	})
	s.json("DELETE", s.URL()+"/api/v1/conferences/standup/rtp/"+leg.ID, "", "", 204, nil)
	reports.wait(t, "BYE", func(b []byte) bool {
		var p rtcp.Packet
		for it := rtcp.Parse(b); it.Next(&p); {
			if x, ok := p.ByeSSRC(0); ok && x == ssrc {
				return true
			}
		}
		return false
	})
}

// TestPlainGroupReflection: each report of a receiver is on the group, once and
// byte for byte; with any source, the sender's own reports are, and what others
// send there is nothing to the conference.
func TestPlainGroupReflection(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 0xaaaa)
	a.dial(s, a.offer())
	a.talk(440)
	var leg api.RTPLeg
	s.json("POST", "", "", `{"group":{"group":"233.252.0.41:24992","interface":"lo","feedback":"reflection"}}`, 201, &leg)
	reports := joinGroup(t, "233.252.0.41", 24993)
	_, at, _ := strings.Cut(leg.SDP, "a=rtcp:")
	at, _, _ = strings.Cut(at, "\r\n")
	var port int
	var host string
	if _, err := fmt.Sscanf(at, "%d IN IP4 %s", &port, &host); err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	rr := rtcp.AppendSDES(rtcp.AppendRR(nil, 0x7777, []rtcp.Block{{SSRC: 1, Fraction: 64}}), 0x7777, "receiver")
	if _, err := out.Write(rr); err != nil {
		t.Fatal(err)
	}
	reports.wait(t, "the report", func(b []byte) bool { return bytes.Equal(b, rr) })

	var open api.RTPLeg
	s.json("POST", "", "", `{"group":{"group":"233.252.0.42:24994","interface":"lo","codec":"PCMA"}}`, 201, &open)
	if strings.Contains(open.SDP, "source-filter") || strings.Contains(open.SDP, "rtcp-unicast") || !strings.Contains(open.SDP, "RTP/AVP 8") {
		t.Errorf("%s", open.SDP)
	}
	media, own := joinGroup(t, "233.252.0.42", 24994), joinGroup(t, "233.252.0.42", 24995)
	d := media.wait(t, "sound", func(b []byte) bool { return len(b) > 12 && b[1]&0x7f == 8 })
	own.wait(t, "a sender report", func(b []byte) bool {
		var p rtcp.Packet
		it := rtcp.Parse(b)
		who, ok := uint32(0), it.Next(&p)
		if ok {
			who, _ = p.Sender()
		}
		return p.Type == rtcp.TypeSR && who == binary.BigEndian.Uint32(d.b[8:])
	})
	var list api.RTPLegs
	s.json("GET", "", "", "", 200, &list)
	if len(list.Legs) != 3 {
		t.Errorf("%+v", list)
	}
}

// listener is a member of a group.
type listener chan datagram

func joinGroup(t *testing.T, group string, port int) listener {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: net.ParseIP(group), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	l, done := make(listener, 1<<12), make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			l <- datagram{from, append([]byte(nil), b[:n]...)}
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return l
}

func (l listener) wait(t *testing.T, what string, ok func([]byte) bool) datagram {
	t.Helper()
	limit := time.After(herdWait)
	for {
		select {
		case d := <-l:
			if ok(d.b) {
				return d
			}
		case <-limit:
			t.Fatalf("%s did not come", what)
		}
	}
}
