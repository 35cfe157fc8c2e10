package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/api"
)

// TestPlainSizes: what is too large is refused before it is read, in every form.
func TestPlainSizes(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 1)
	a.dial(s, a.offer())
	long := strings.Repeat("y", 20000)
	quoted := func(sdp, more string) string {
		return fmt.Sprintf(`{"sdp":%q%s}`, sdp, more)
	}
	nine := a.offer()
	for range 8 {
		nine += "m=audio 9 RTP/AVP 0\r\n"
	}
	for _, x := range []struct {
		what, method, url, kind, body string
		code                          int
	}{
		{"SDP", "POST", "", "application/sdp", a.offer("a=x:" + long), 413},
		{"SDP as JSON", "POST", "", "application/json", quoted(a.offer("a=x:"+long), ""), 413},
		{"a megabyte of JSON", "POST", "", "application/json", `{"name":"` + strings.Repeat(long, 60) + `"}`, 413},
		{"nine lines", "POST", "", "application/sdp", nine, 400},
		{"name", "POST", "", "application/json", quoted(a.offer(), `,"name":"`+long+`"`), 400},
		{"user", "POST", "", "application/json", quoted(a.offer(), `,"user":"`+long+`"`), 400},
		{"label", "POST", "", "application/json", quoted(a.offer(), `,"label":"`+long+`"`), 400},
		{"later SDP", "PATCH", a.location, "application/sdp", a.offer("a=x:" + long), 413},
		{"later SDP as JSON", "PATCH", a.location, "application/json", quoted(a.offer("a=x:"+long), ""), 413},
		{"keys", "POST", a.location + "/dtmf", "application/json", `{"keys":"` + strings.Repeat("1", 33) + `"}`, 400},
		{"long keys", "POST", a.location + "/dtmf", "application/json", `{"keys":"1","durationMs":6001}`, 400},
		{"broadcast", "POST", "", "application/sdp", strings.ReplaceAll(a.offer(), "IP4 127.0.0.1", "IP4 255.255.255.255"), 400},
		{"two lines of one mid", "POST", "", "application/sdp", a.offer("a=mid:x") + "m=audio 5002 RTP/AVP 0\r\na=mid:x\r\n", 400},
	} {
		if resp, b := s.ask(x.method, x.url, x.kind, x.body); resp.StatusCode != x.code {
			t.Errorf("%s: %d %.200s", x.what, resp.StatusCode, b)
		}
	}
	var list api.RTPLegs
	s.json("GET", "", "", "", 200, &list)
	if len(list.Legs) != 1 {
		t.Errorf("%d endpoints", len(list.Legs))
	}
}

// TestPlainPortsComeBack: expelling and the end of the conference free the ports
// of phones, as hanging up does: the range suffices for all of them three times.
func TestPlainPortsComeBack(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 1)
	fill := func() api.RTPLegs {
		t.Helper()
		for i := range 20 { // 40 ports
			resp, b := s.ask("POST", "", "application/sdp", a.offer())
			for end := time.Now().Add(herdWait); resp.StatusCode == 503 && time.Now().Before(end); { // what has ended may take a turn to close
				<-time.After(20 * time.Millisecond)
				resp, b = s.ask("POST", "", "application/sdp", a.offer())
			}
			if resp.StatusCode != 201 {
				t.Fatalf("%d: %d %s", i, resp.StatusCode, b)
			}
		}
		if resp, _ := s.ask("POST", "", "application/sdp", a.offer()); resp.StatusCode != 503 {
			t.Errorf("one too many: %d", resp.StatusCode)
		}
		var list api.RTPLegs
		s.json("GET", "", "", "", 200, &list)
		return list
	}
	command := func(method, body string) {
		t.Helper()
		s.json("POST", s.URL()+"/api/v1/conferences/standup/commands/"+method, "application/json", body, 200, nil)
	}
	for _, l := range fill().Legs {
		command(api.ParticipantExpel, `{"part":"`+l.Part+`"}`)
	}
	fill()
	command(api.ConferenceEnd, `{}`)
	if resp, b := s.ask("POST", "", "application/sdp", a.offer()); resp.StatusCode != 409 {
		t.Errorf("after the end: %d %s", resp.StatusCode, b)
	}
	s.json("POST", s.URL()+"/api/v1/conferences/standup/reopen", "application/json", `{"start":true}`, 200, nil)
	fill()
}
