//go:build abuse && linux

package abusetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parley/api"
)

// rawWS upgrades a connection by hand, for frames that no library would write.
func (s *server) rawWS(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	addr := strings.TrimPrefix(s.url, "http://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", addr, api.Subprotocol)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v %v", res, err)
	}
	if e := res.Header.Get("Sec-WebSocket-Extensions"); e != "" {
		t.Errorf("compression was agreed on: %s", e)
	}
	return c, r
}

// frame is a client's WebSocket frame with a mask of zeros (RFC 6455, section 5.2).
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// closeCode reads frames until a close; 0 when the connection ended without.
func closeCode(r *bufio.Reader) int {
	for {
		var h [2]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return 0
		}
		n := int(h[1] & 127)
		if n == 126 {
			var l [2]byte
			_, _ = io.ReadFull(r, l[:])
			n = int(binary.BigEndian.Uint16(l[:]))
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			return 0
		}
		if h[0]&15 == 8 && n >= 2 {
			return int(binary.BigEndian.Uint16(p))
		}
	}
}

const helloFrame = `{"kind":"hello","versions":[1],"auth":{"name":"Mallory"}}`

// TestS1_OversizedFrames: a frame over the cap, a compressed bomb and a million
// empty fragments end with their code and leave no memory behind.
func TestS1_OversizedFrames(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	deflated := append([]byte{}, bytes.Repeat([]byte{0xed, 0xc1, 0x01, 0x0d, 0, 0, 0, 0xc2, 0xa0}, 2000)...)
	for _, tc := range []struct {
		name  string
		times int
		codes []int
		send  func(c net.Conn)
	}{
		{"256 KiB and 1 byte", 10, []int{1009}, func(c net.Conn) { _, _ = c.Write(frame(0x81, make([]byte, 256<<10+1))) }},
		// A frame that never comes is a client that does not answer: nothing is kept for it.
		{"a length of 2^62", 1, []int{1009, 1002, 1008}, func(c net.Conn) {
			_, _ = c.Write(append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<62), make([]byte, 4096)...))
		}},
		{"compressed, 1:1000", 10, []int{1002, 1009, 1003, 1007}, func(c net.Conn) { _, _ = c.Write(frame(0xc1, deflated)) }},
		{"a million empty fragments", 10, []int{1009}, func(c net.Conn) {
			_, _ = c.Write(frame(0x01, nil))
			many := bytes.Repeat(frame(0x00, nil), 1000)
			for range 1000 {
				if _, err := c.Write(many); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := s.stats(t, true)
			for range tc.times {
				c, r := s.rawWS(t)
				_, _ = c.Write(frame(0x81, []byte(helloFrame)))
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					tc.send(c)
				}()
				code := closeCode(r)
				_ = c.Close()
				<-sent
				ok := false
				for _, want := range tc.codes {
					ok = ok || code == want
				}
				if !ok {
					t.Errorf("closed with %d, want one of %v", code, tc.codes)
				}
			}
			after := s.stats(t, true)
			t.Logf("RSS %+.1f MiB (aim: +4)", mib(int64(after.rss)-int64(before.rss)))
			if int64(after.rss)-int64(before.rss) > 8<<20 {
				t.Errorf("RSS grew from %.1f to %.1f MiB", mib(before.rss), mib(after.rss))
			}
		})
	}
	// Sessions that were cut may resume for 30 s.
	time.Sleep(time.Second)
	ctrl.end(t)
}

// TestS2_SlowConnections: thousands of connections that send a byte now and
// then, at every stage a connection can be in, are closed within ten seconds,
// and whoever joins meanwhile does not notice.
func TestS2_SlowConnections(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	host := strings.TrimPrefix(s.url, "http://")
	upgrade := "GET /ws HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: " + api.Subprotocol + "\r\n\r\n"
	post := "POST /whip/slow HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/sdp\r\nContent-Length: 5000\r\n\r\n"
	stages := []struct{ name, first, drip string }{
		{"nothing at all", "", ""},
		{"request line", "G", "ET"},
		{"headers", "GET / HTTP/1.1\r\nHost: x\r\nX-A", "bcdef"},
		{"body of an offer", post, "v=0\r\no=-"},
		{"body of an exchange", "POST /auth/exchange HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{", "\"owner"},
		{"body nobody wants", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "abcdef"},
		{"WebSocket without hello", upgrade, ""},
		{"WebSocket, half a hello", upgrade, string(frame(0x81, []byte(helloFrame)))},
		{"ICE over TCP", "\x00", "\x14\x00\x01\x00"},
	}
	n := soak(1000, 5000)
	began := time.Now()
	var g sync.WaitGroup
	var mu sync.Mutex
	slowest := map[string]time.Duration{}
	var open, refused int
	for i := range n {
		st := stages[i%len(stages)]
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(hostAddr(i), 0)), Timeout: 10 * time.Second}
		c, err := d.Dial("tcp", host)
		if err != nil {
			refused++
			continue
		}
		open++
		g.Go(func() {
			took := drip(c, st.first, st.drip)
			mu.Lock()
			defer mu.Unlock()
			slowest[st.name] = max(slowest[st.name], took)
		})
	}
	t.Logf("%d connections open after %.1f s, %d refused", open, time.Since(began).Seconds(), refused)
	joins := s.joinTimes(t, 40, joining{kind: "whep", room: controlRoom}, nil)
	g.Wait()
	p95 := percentile(joins, .95)
	t.Logf("join p95 %v (aim: 1s); closed after, at the most: %v", p95.Round(time.Millisecond), slowest)
	if p95 > 3*time.Second {
		t.Errorf("join p95 %v", p95)
	}
	for name, took := range slowest {
		if took > 10*time.Second+3*time.Second {
			t.Errorf("%s: closed after %v", name, took)
		}
	}
	ctrl.end(t)
}

// hostAddr spreads connections over addresses, as the attack would.
func hostAddr(i int) netip.Addr { return host(7000 + i/50) }

// drip writes first, then a byte of more each second (a tenth of the scenario's
// patience: whoever closes on idleness alone must be caught too), and returns
// when the other side has closed.
func drip(c net.Conn, first, more string) time.Duration {
	defer c.Close()
	began := time.Now()
	_, _ = c.Write([]byte(first))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.SetReadDeadline(began.Add(60 * time.Second))
		_, _ = io.Copy(io.Discard, c)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-gone:
			return time.Since(began)
		case <-tick.C:
			if i < len(more) {
				_, _ = c.Write([]byte(more[i : i+1]))
			}
		}
	}
}

// TestS3_ChattyClient: one client with thousands of valid messages a second gets
// rate errors above its allowance, is put out after five seconds, and nobody
// else waits longer for an answer.
func TestS3_ChattyClient(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	quiet := s.ws(t, host(1), api.Auth{Name: "Quiet"})
	quiet.joinWS(t, "quiet", "quiet")
	rtt := func(n int) (all []time.Duration) {
		for range n {
			began := time.Now()
			res, err := quiet.request(api.MediaCandidate, "quiet", api.CandidateParams{MS: "ms_nothing"}, nil)
			if err != nil {
				t.Fatalf("the quiet client: %v %v", res, err)
			}
			all = append(all, time.Since(began))
			time.Sleep(25 * time.Millisecond)
		}
		return all
	}
	before := rtt(40)
	loud := s.ws(t, host(2), api.Auth{Name: "Loud"})
	loud.joinWS(t, "loud", "loud")
	type outcome struct {
		sent, answered, limited int
		code                    websocket.StatusCode
		after                   time.Duration
	}
	result := make(chan outcome, 1)
	began := time.Now()
	go func() {
		var o outcome
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for ; ; <-tick.C {
				for range 10 {
					m := fmt.Sprintf(`{"kind":"request","id":"l%d","method":"media.candidate","conf":"loud","params":{"ms":"ms_nothing"}}`, o.sent)
					if loud.Write(ctx, websocket.MessageText, []byte(m)) != nil {
						return
					}
					o.sent++
				}
			}
		}()
		var res api.Response
		for {
			_, b, err := loud.Read(ctx)
			if err != nil {
				o.code, o.after = websocket.CloseStatus(err), time.Since(began)
				break
			}
			if json.Unmarshal(b, &res) == nil && res.Kind == "response" {
				if o.answered++; res.Code == 429 {
					o.limited++
				}
			}
		}
		<-done
		result <- o
	}()
	during := rtt(160)
	o := <-result
	t.Logf("loud: %d sent (%.0f/s), %d answered, %d of them rate errors, closed with %d after %.1f s",
		o.sent, float64(o.sent)/o.after.Seconds(), o.answered, o.limited, o.code, o.after.Seconds())
	t.Logf("quiet: p99 before %v, meanwhile %v (aim: 100ms)", percentile(before, .99), percentile(during, .99))
	if o.limited == 0 || o.code != websocket.StatusPolicyViolation || o.after < 4*time.Second || o.after > 10*time.Second {
		t.Errorf("the loud client was not held to its rate: %+v", o)
	}
	if p := percentile(during, .99); p > time.Second {
		t.Errorf("the quiet client waited %v", p)
	}
	_ = quiet.CloseNow()
	s.eventually(t, 45*time.Second, "sessions forgotten", func(st *stats) bool { return st.HeapBytes < ctrl.before.HeapBytes+2<<20 })
	ctrl.end(t)
}

// TestS5_NoOracle: without a right token nobody learns, by status, text or time,
// whether a room exists; guessing is slowed down.
func TestS5_NoOracle(t *testing.T) {
	s := start(t, "--limits.half-open=20") // closed: no --dev
	token := s.token(t)
	ctrl := s.control(t, "--token", token)
	type ask func(room, token string, from netip.Addr) (string, time.Duration, error)
	asks := map[string]ask{
		"status": func(room, token string, from netip.Addr) (string, time.Duration, error) {
			return s.timed(from, http.MethodGet, "/r/"+room+"/status", "", token)
		},
		"WHIP": func(room, token string, from netip.Addr) (string, time.Duration, error) {
			return s.timed(from, http.MethodPost, "/whip/"+room, "v=0\r\n", token)
		},
		"WHEP": func(room, token string, from netip.Addr) (string, time.Duration, error) {
			return s.timed(from, http.MethodPost, "/whep/"+room, "v=0\r\n", token)
		},
	}
	next := 8000
	for name, f := range asks {
		t.Run(name, func(t *testing.T) {
			times := map[string][]time.Duration{}
			answers := map[string]bool{}
			for i := range soak(300, 1000) {
				if i%4 == 0 { // eight failures from one address: below the limit
					next++
				}
				for _, room := range []string{controlRoom, "nobody1"} {
					got, took, err := f(room, token[:len(token)-8]+"AAAAAAAA", host(next))
					if err != nil {
						t.Fatal(err)
					}
					times[room] = append(times[room], took)
					answers[got] = true
				}
			}
			a, b := percentile(times[controlRoom], .5), percentile(times["nobody1"], .5)
			t.Logf("medians %v and %v, %d samples each (aim: within 2 ms)", a, b, len(times[controlRoom]))
			if d := a - b; d > 2*time.Millisecond || d < -2*time.Millisecond {
				t.Errorf("medians differ by %v", d)
			}
			if len(answers) != 1 {
				t.Errorf("answers differ: %v", answers)
			}
		})
	}
	limited := 0
	for range 15 {
		got, _, err := asks["status"]("nobody1", "wrong", host(1))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(got, "429") {
			limited++
		}
	}
	if limited != 5 {
		t.Errorf("%d of 15 guesses in a row answered 429, want 5", limited)
	}
	if got, _, err := asks["status"](controlRoom, token, host(1)); err != nil || !strings.HasPrefix(got, "200") {
		t.Errorf("the right token from the same address: %s %v", got, err)
	}
	ctrl.end(t)
}

// timed asks once and returns status and body as one text.
func (s *server) timed(addr netip.Addr, method, path, body, token string) (string, time.Duration, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/sdp")
	began := time.Now()
	res, err := from(addr).Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, err
	}
	return fmt.Sprint(res.StatusCode, " ", string(b)), time.Since(began), nil
}
