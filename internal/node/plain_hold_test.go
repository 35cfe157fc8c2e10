package node

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/media/rtp"
	"parley/internal/transport/srtp"
)

// reoffer sends another offer.
func (p *phone) reoffer(s *plainSite, offer string) string {
	p.t.Helper()
	resp, body := s.ask("PATCH", p.location, "application/sdp", offer)
	if resp.StatusCode != 200 {
		p.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return body
}

// TestB2B4_HoldWithAnotherSSRC: a phone holds, comes back under another SSRC,
// with other numbers and another clock; the other side hears one stream.
func TestB2B4_HoldWithAnotherSSRC(t *testing.T) {
	s := newPlainSite(t)
	a, b := newPhone(t, "127.0.0.1", 0xaaaa), newPhone(t, "127.0.0.1", 0xbbbb)
	a.dial(s, a.offer())
	b.dial(s, b.offer())
	b.talk(1000)
	a.talk(440)
	b.hearsTone(440, 0)
	hold := strings.Replace(a.offer("a=inactive"), "o=- 1 1", "o=- 1 2", 1)
	if answer := a.reoffer(s, hold); !strings.Contains(answer, "a=inactive") {
		t.Errorf("answer to hold: %s", answer)
	}
	var leg api.RTPLeg
	s.json("GET", a.location, "", "", 200, &leg)
	if leg.Streams[0].Direction != "inactive" {
		t.Errorf("%+v", leg.Streams)
	}
	a.change(0xcccc, 40000, 77)
	if answer := a.reoffer(s, strings.Replace(a.offer("a=sendrecv"), "o=- 1 1", "o=- 1 3", 1)); !strings.Contains(answer, "a=sendrecv") {
		t.Errorf("answer to resume: %s", answer)
	}
	b.hearsTone(440, 0)
	a.change(0xdddd, 3, 1<<31) // and once more without a word
	b.hearsTone(440, 0)
	a.change(0xaaaa, 9000, 5) // back to the first, as after music on hold
	b.hearsTone(440, 0)
	b.oneStream()
}

// change gives the phone another SSRC, other numbers and another clock.
func (p *phone) change(ssrc uint32, seq uint16, ts uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ssrc, p.seq, p.ts = ssrc, seq, ts
}

// oneStream looks at the headers of all that came: one SSRC, numbers in a row,
// time that never goes back.
func (p *phone) oneStream() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 1; i < len(p.heads); i++ {
		was, h := p.heads[i-1], p.heads[i]
		if h.ssrc != was.ssrc || h.seq != was.seq+1 || int32(h.ts-was.ts) <= 0 {
			p.t.Errorf("%d of %d: %+v after %+v", i, len(p.heads), h, was)
		}
	}
}

// TestPlainKeys: a key pressed on one phone is an event of its participant,
// once; a key sent by REST reaches the other as telephone events.
func TestPlainKeys(t *testing.T) {
	s := newPlainSite(t)
	w := newWatcher(t, s)
	a := newPhone(t, "127.0.0.1", 0xaaaa)
	a.dial(s, a.offer())
	key := func(ts uint32, code uint8, end bool, d uint16) {
		b := a.packet(0)[:12:12]
		b[1] = 101
		binary.BigEndian.PutUint32(b[4:], ts)
		_, _ = a.rtp.WriteToUDPAddrPort(rtp.Event{Code: code, End: end, Duration: d}.Append(b), a.server)
	}
	for i, code := range []uint8{4, 11} {
		ts := uint32(100000 * (i + 1))
		key(ts, code, false, 160)
		for range 3 {
			key(ts, code, true, 800)
		}
	}
	for _, want := range []string{"4", "#"} {
		e := w.event("participant.dtmf")
		var k api.KeyPressed
		if err := json.Unmarshal(e, &k); err != nil || k.Key != want || k.DurationMs != 100 {
			t.Errorf("%s, not %s", e, want)
		}
	}
	s.json("POST", a.location+"/dtmf", "", `{"keys":"9*","durationMs":60}`, 204, nil)
	var pad rtp.Keypad
	got := ""
	ends := 0
	for ends < 6 {
		d := a.hear("a key", func(d datagram) bool { return d.b[1]&0x7f == 101 })
		var h rtp.Header
		if rtp.Parse(d.b, &h) != rtp.OK {
			t.Fatalf("%x", d.b)
		}
		if e, _ := rtp.ParseEvent(d.b[12:]); e.End {
			ends++
		}
		if p, ok := pad.Packet(&h, d.b[12:], 8000); ok {
			got += string(rune(p.Key))
		}
	}
	if got != "9*" {
		t.Errorf("keys %q", got)
	}
	for body, code := range map[string]int{`{"keys":""}`: 400, `{"keys":"x"}`: 400, `{"keys":"1","durationMs":9999}`: 400, `{"keys":"11111111111111111111111111111111111"}`: 400} {
		if resp, b := s.ask("POST", a.location+"/dtmf", "", body); resp.StatusCode != code {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	select {
	case e := <-w.got["participant.dtmf"]:
		t.Errorf("one more: %s", e)
	default:
	}
}

// TestPlainSDES: a phone with SRTP and keys in its description; packets under
// another key are nothing.
func TestPlainSDES(t *testing.T) {
	s := newPlainSite(t)
	a, b := newPhone(t, "127.0.0.1", 0xaaaa), newPhone(t, "127.0.0.1", 0xbbbb)
	key := []byte(strings.Repeat("0123456789", 3))
	offer := strings.Replace(a.offer("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+base64.StdEncoding.EncodeToString(key)), "RTP/AVP", "RTP/SAVP", 1)
	answer := a.dial(s, offer)
	_, text, _ := strings.Cut(answer, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
	text, _, _ = strings.Cut(text, "\r\n")
	theirs, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(theirs) != 30 {
		t.Fatalf("answer %s", answer)
	}
	b.dial(s, b.offer())
	b.talk(1000)
	send, err := srtp.NewSender(srtp.AES128CMHMACSHA180, key[:16], key[16:])
	if err != nil {
		t.Fatal(err)
	}
	open, err := srtp.NewReceiver(srtp.AES128CMHMACSHA180, theirs[:16], theirs[16:])
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // clear text
		_, _ = a.rtp.WriteToUDPAddrPort(a.packet(666), a.server)
	}
	a.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-a.stop:
				return
			case <-tick.C:
				p := a.packet(440)
				if sealed, err := send.SealRTP(nil, p[:12], p[12:]); err == nil {
					_, _ = a.rtp.WriteToUDPAddrPort(sealed, a.server)
				}
			}
		}
	})
	b.hearsTone(440, 666)
	var x []float64
	for end := time.Now().Add(herdWait); ; {
		d := a.hear("sealed sound", func(d datagram) bool { return true })
		clear, drop := open.OpenRTP(nil, d.b)
		if drop != srtp.DropNone {
			t.Fatalf("drop %v: %x", drop, d.b)
		}
		for _, v := range clear[12+4*int(clear[0]&0x0f):] {
			x = append(x, float64(linear(v))/32768)
		}
		if len(x) < 4000 {
			continue
		}
		if power(x, 1000) > -30 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("b is not heard at a")
		}
		x = nil
	}
}

// TestD3_SprayOverThePortRange: other hosts spray all ports, before and after
// the phone spoke, plain and SRTP, and one of them streams steadily: they get
// nothing back.
func TestD3_SprayOverThePortRange(t *testing.T) {
	s := newPlainSite(t)
	a, b := newPhone(t, "127.0.0.1", 0xaaaa), newPhone(t, "127.0.0.1", 0xbbbb)
	c := newPhone(t, "127.0.0.1", 0xcccc)
	a.dial(s, a.offer())
	b.dial(s, b.offer())
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0123456789", 3)))
	c.dial(s, strings.Replace(c.offer("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key), "RTP/AVP", "RTP/SAVP", 1))
	var attackers []*phone
	for i := range 4 {
		attackers = append(attackers, newPhone(t, fmt.Sprintf("127.0.0.%d", 66+i), 0x6660+uint32(i)))
	}
	spray := func(rounds int) {
		r := s.cfg.RTPPorts
		for range rounds {
			for _, x := range attackers {
				p := x.packet(666)
				for port := int(r.Low); port <= int(r.High); port++ {
					_, _ = x.rtp.WriteToUDPAddrPort(p, netip.AddrPortFrom(a.server.Addr(), uint16(port)))
				}
			}
		}
	}
	spray(8) // before anybody spoke
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 { // and one like a phone, for a second
		<-tick.C
		p := attackers[0].packet(666)
		for _, x := range []*phone{a, b, c} {
			_, _ = attackers[0].rtp.WriteToUDPAddrPort(p, x.server)
		}
	}
	a.talk(440)
	b.talk(1000)
	a.hearsTone(1000, 666)
	b.hearsTone(440, 666)
	before := 0
	for _, x := range attackers {
		before += len(x.gotRTP) + len(x.gotRTCP)
	}
	for range 6 {
		spray(5)
		if x := b.samples(25); power(x, 666) > power(x, 440)-12 { // were it there, it would be as loud
			t.Error("an attacker's sound was forwarded")
		}
	}
	after := -before
	for _, x := range attackers {
		after += len(x.gotRTP) + len(x.gotRTCP)
	}
	if before > 5 || after != 0 {
		t.Errorf("attackers received %d packets before the lock and %d after", before, after)
	}
}

// TestPlainRefusals: what cannot be, with codes.
func TestPlainRefusals(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 1)
	for _, x := range []struct {
		what, path, kind, body string
		code                   int
	}{
		{"another type", "", "text/plain", "x", 415},
		{"empty", "", "application/sdp", "", 400},
		{"no SDP", "", "application/sdp", "hello", 400},
		{"too large", "", "application/sdp", a.offer("a=x:" + strings.Repeat("y", 20000)), 413},
		{"only iLBC", "", "application/sdp", strings.ReplaceAll(a.offer(), "RTP/AVP 0 8 101", "RTP/AVP 97"), 409},
		{"DTLS", "", "application/sdp", strings.Replace(a.offer(), "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1), 409},
		{"role owner", "?role=owner", "application/sdp", a.offer(), 400},
		{"latch", "?latch=maybe", "application/sdp", a.offer(), 400},
		{"unknown member", "", "application/json", `{"sdp":"x","x":1}`, 400},
		{"group and sdp", "", "application/json", `{"sdp":"x","group":{"group":"233.252.0.1:5004"}}`, 400},
		{"group not multicast", "", "application/json", `{"group":{"group":"192.0.2.1:5004"}}`, 400},
		{"group odd port", "", "application/json", `{"group":{"group":"233.252.0.1:5005"}}`, 400},
		{"feedback", "", "application/json", `{"group":{"group":"233.252.0.1:5004","feedback":"x"}}`, 400},
		{"no such interface", "", "application/json", `{"group":{"group":"233.252.0.1:5004","interface":"nope0"}}`, 409},
	} {
		if resp, b := s.ask("POST", x.path, x.kind, x.body); resp.StatusCode != x.code {
			t.Errorf("%s: %d %s", x.what, resp.StatusCode, b)
		}
	}
	token := s.token
	s.token = ""
	if resp, _ := s.ask("POST", "", "application/sdp", a.offer()); resp.StatusCode != 401 {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
	s.token = token
	for i := range 20 { // 40 ports
		if resp, b := s.ask("POST", "", "application/sdp", a.offer()); resp.StatusCode != 201 {
			t.Fatalf("%d: %d %s", i, resp.StatusCode, b)
		}
	}
	resp, b := s.ask("POST", "", "application/sdp", a.offer())
	var e api.Error
	if err := json.Unmarshal([]byte(b), &e); err != nil || resp.StatusCode != 503 || e.Reason != "no-ports" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	var list api.RTPLegs
	s.json("GET", "", "", "", 200, &list)
	if len(list.Legs) != 20 {
		t.Errorf("%d endpoints", len(list.Legs))
	}
	for _, l := range list.Legs {
		s.json("DELETE", s.URL()+"/api/v1/conferences/standup/rtp/"+l.ID, "", "", 204, nil)
	}
	if resp, b := s.ask("POST", "", "application/sdp", a.offer()); resp.StatusCode != 201 {
		t.Errorf("after all left: %d %s", resp.StatusCode, b)
	}
}

// TestSPL1_TwoHostsOneParticipant: sound from one host and picture from another
// are one participant with one device and two media.
func TestSPL1_TwoHostsOneParticipant(t *testing.T) {
	s := newPlainSite(t)
	x, y := newPhone(t, "127.0.0.1", 0xaaaa), newPhone(t, "127.0.0.2", 0xbbbb)
	offer := x.offer() + fmt.Sprintf("m=video %d RTP/AVP 96\r\nc=IN IP4 127.0.0.2\r\na=rtpmap:96 VP8/90000\r\na=sendonly\r\n", y.addr().Port())
	var leg api.RTPLeg
	body, _ := json.Marshal(api.RTPOpen{SDP: offer, Name: "Room system", User: "sip:room@example.org", Role: api.RolePresenter})
	s.json("POST", "", "", string(body), 201, &leg)
	if len(leg.Streams) != 2 || leg.User != "sip:room@example.org" || leg.Streams[0].Local == leg.Streams[1].Local || !strings.HasPrefix(leg.Streams[1].Remote, "127.0.0.2:") {
		t.Fatalf("%+v", leg)
	}
	x.server, y.server = netip.MustParseAddrPort(leg.Streams[0].Local), netip.MustParseAddrPort(leg.Streams[1].Local)
	x.talk(440)
	y.done.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for n := uint16(0); ; n++ {
			select {
			case <-y.stop:
				return
			case <-tick.C:
				b := make([]byte, 12, 64)
				b[0], b[1] = 0x80, 0x80|96
				binary.BigEndian.PutUint16(b[2:], n)
				binary.BigEndian.PutUint32(b[4:], uint32(n)*3600)
				binary.BigEndian.PutUint32(b[8:], 0xbbbb)
				// A VP8 keyframe's first bytes: descriptor, frame tag, start code, size.
				b = append(b, 0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00)
				_, _ = y.rtp.WriteToUDPAddrPort(b, y.server)
			}
		}
	})
	both := func() (live int) {
		var list api.Tracks
		s.json("GET", s.URL()+"/api/v1/conferences/standup/tracks", "", "", 200, &list)
		for _, k := range list.Tracks {
			if k.User == "sip:room@example.org" && k.State == "live" {
				live++
			}
		}
		return live
	}
	for end := time.Now().Add(herdWait); both() != 2; {
		if time.Now().After(end) {
			t.Fatalf("%d live tracks", both())
		}
	}
	var people api.Participants
	s.json("GET", s.URL()+"/api/v1/conferences/standup/participants", "", "", 200, &people)
	n := 0
	for _, p := range people.Participants {
		if p.User == "sip:room@example.org" {
			n += len(p.Devices)
		}
	}
	if n != 1 {
		t.Errorf("%d devices", n)
	}
}
