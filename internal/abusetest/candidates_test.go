//go:build abuse && linux

package abusetest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/api"
	"parley/internal/transport/ice"
)

// bait listens on ports that candidates name and counts who calls.
type bait struct {
	calls atomic.Int64
	addrs []netip.AddrPort
}

func newBait(t *testing.T) *bait {
	t.Helper()
	b := &bait{}
	for _, a := range []string{"127.0.0.1", "127.9.9.9"} {
		u, err := net.ListenPacket("udp", a+":0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", u.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = u.Close(), l.Close() })
		b.addrs = append(b.addrs, u.LocalAddr().(*net.UDPAddr).AddrPort())
		go func() {
			var buf [2048]byte
			for {
				if _, _, err := u.ReadFrom(buf[:]); err != nil {
					return
				}
				b.calls.Add(1)
			}
		}()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				b.calls.Add(1)
				_ = c.Close()
			}
		}()
	}
	return b
}

// candidates names n addresses that a server must not call.
func (b *bait) candidates(n int) (all []string) {
	hosts := []string{"169.254.169.254", "10.0.0.%d", "192.168.1.%d", "172.16.0.%d", "::1", "::ffff:127.0.0.1", "fe80::1",
		"7f6e2b1c-0000-4000-8000-%012d.local", "bait-%d.example.org", "localhost"}
	for i := range n {
		a := b.addrs[i%len(b.addrs)]
		h := hosts[i%len(hosts)]
		if strings.Contains(h, "%") {
			h = fmt.Sprintf(h, i%250)
		}
		if i%3 == 0 {
			h = a.Addr().String()
		}
		kind := "udp 2130706431"
		tail := " typ host"
		if i%5 == 4 {
			kind, tail = "tcp 1518280447", " typ host tcptype passive"
		}
		all = append(all, fmt.Sprintf("candidate:%d 1 %s %s %d%s", i%99, kind, h, a.Port(), tail))
	}
	return all
}

// calling watches the server for sockets that it should have no reason to open:
// UDP beyond its workers' (name lookups, checks), TCP being dialled.
type calling struct {
	stop, done chan struct{}
	worst      int
	dialled    bool
}

func (s *server) watchCalls() *calling {
	w := &calling{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			udp, syn := s.sockets()
			w.worst, w.dialled = max(w.worst, udp), w.dialled || syn
			select {
			case <-w.stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
	}()
	return w
}

var inode = regexp.MustCompile(`socket:\[(\d+)\]`)

// sockets counts the server's UDP sockets and says whether it dials by TCP.
func (s *server) sockets() (udp int, dialling bool) {
	dir := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	own := map[string]bool{}
	fds, _ := os.ReadDir(dir + "fd")
	for _, fd := range fds {
		link, _ := os.Readlink(dir + "fd/" + fd.Name())
		if m := inode.FindStringSubmatch(link); m != nil {
			own[m[1]] = true
		}
	}
	each := func(file string, f func(state string)) {
		b, _ := os.ReadFile(dir + "net/" + file)
		for _, line := range strings.Split(string(b), "\n") {
			if c := strings.Fields(line); len(c) > 9 && own[c[9]] {
				f(c[3])
			}
		}
	}
	for _, file := range []string{"udp", "udp6"} {
		each(file, func(string) { udp++ })
	}
	for _, file := range []string{"tcp", "tcp6"} {
		each(file, func(state string) { dialling = dialling || state == "02" }) // SYN_SENT
	}
	return udp, dialling
}

// addLines puts lines into every section of a description.
func addLines(lines []string) func(string) string {
	return func(text string) string {
		return text + strings.Join(lines, "\r\n") + "\r\n"
	}
}

// TestD7_CandidatesAreNotCalled: 10,000 candidates of every forbidden kind, in
// offers, in WHIP fragments and over the WebSocket: not one packet, no name
// looked up; descriptions over the caps are refused.
func TestD7_CandidatesAreNotCalled(t *testing.T) {
	s := start(t)
	b := newBait(t)
	udp, _ := s.sockets()
	if udp == 0 {
		t.Fatal("the server's own UDP socket is not seen")
	}
	watch := s.watchCalls()
	s.baitAll(t, b) // alone first, when every packet counts
	if sent := s.shard(t).Socket.TxDatagrams; sent != 0 {
		t.Errorf("%d packets left the media port, none was asked for", sent)
	}
	ctrl := s.control(t)
	s.baitAll(t, b)
	time.Sleep(500 * time.Millisecond)
	close(watch.stop)
	<-watch.done
	if n := b.calls.Load(); n > 0 {
		t.Errorf("%d calls of candidates", n)
	}
	if watch.worst > udp || watch.dialled {
		t.Errorf("%d UDP sockets, %d of them the workers'; dialled by TCP: %v", watch.worst, udp, watch.dialled)
	}
	if strings.Contains(s.log.text(), "hostLookupOrder") {
		t.Error("names were looked up")
	}
	s.overCaps(t, b)
	s.eventually(t, 25*time.Second, "unfinished joins gone", func(st *stats) bool { return st.Media.HalfOpen == 0 })
	ctrl.end(t)
}

// baitAll names 10,000 candidates in all accepted ways.
func (s *server) baitAll(t *testing.T, b *bait) {
	t.Helper()
	const each = 1500
	for i := range 6 { // as many as a description may hold
		c, err := s.post(joining{kind: "whep", room: "bait", edit: func(text string) string {
			lines := b.candidates(each)
			for i := range lines {
				lines[i] = "a=" + lines[i]
			}
			return addLines(lines)(text)
		}})
		if err != nil || c.status != http.StatusCreated {
			t.Fatalf("offer %d: %v %+v", i, err, c)
		}
		s.trickle(t, c, b.candidates(100))
		c.leave()
	}
	w := s.ws(t, netip.Addr{}, api.Auth{Name: "Bait"})
	joined := w.joinWS(t, "bait", "bait-ws")
	o, err := offer(joining{kind: "whep"}, ice.NewCreds())
	if err != nil {
		t.Fatal(err)
	}
	w.mustRequest(t, api.MediaOffer, "bait", api.OfferParams{MS: joined.MS, Rev: 1, SDP: o.SDP}, nil)
	for range 14 {
		w.mustRequest(t, api.MediaCandidate, "bait", api.CandidateParams{MS: joined.MS, Candidates: b.candidates(30)}, nil)
		time.Sleep(25 * time.Millisecond) // the session's rate
	}
	w.mustRequest(t, api.ConferenceLeave, "bait", api.LeaveParams{}, nil)
}

// trickle sends candidates by PATCH (RFC 9725, section 4.3.1); any answer but
// an accident will do.
func (s *server) trickle(t *testing.T, c *client, candidates []string) {
	t.Helper()
	body := "a=ice-ufrag:" + c.creds.Ufrag + "\r\na=ice-pwd:" + c.creds.Pwd + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=" +
		strings.Join(candidates, "\r\na=") + "\r\n"
	req, _ := http.NewRequest(http.MethodPatch, c.resource, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/trickle-ice-sdpfrag")
	req.Header.Set("If-Match", c.header.Get("ETag"))
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent && res.StatusCode/100 != 4 {
		t.Errorf("PATCH answered %s", res.Status)
	}
}

// overCaps sends descriptions over each cap.
func (s *server) overCaps(t *testing.T, b *bait) {
	t.Helper()
	long := make([]string, 8001)
	for i := range long {
		long[i] = "a=x"
	}
	lines := b.candidates(10000)
	for i := range lines {
		lines[i] = "a=" + lines[i]
	}
	section := "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:%d\r\na=recvonly\r\n"
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, section, i+10)
	}
	for _, tc := range []struct {
		name string
		code int
		edit func(string) string
	}{
		{"10,000 candidates", 413, addLines(lines)},
		{"8,001 lines", 400, addLines(long)},
		{"a line of 5 KiB", 400, addLines([]string{"a=" + strings.Repeat("x", 5<<10)})},
		{"302 sections", 400, func(text string) string { return text + many.String() }},
	} {
		c, err := s.post(joining{kind: "whep", room: "bait", edit: tc.edit})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		t.Logf("%s: %d %.80s", tc.name, c.status, c.body)
		if c.status != tc.code {
			t.Errorf("%s: answered %d, want %d", tc.name, c.status, tc.code)
		}
	}
}

// TestD8_NobodyIsCapturedBySignalling: a session that signals a publisher's
// address as its own, each second and in every way, takes nothing from it.
func TestD8_NobodyIsCapturedBySignalling(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	room := s.call(t, "capture")
	victim := room.pub.LocalAddr()
	viewer := room.sub.LocalAddr()
	w := s.ws(t, netip.Addr{}, api.Auth{Name: "Thief"})
	joined := w.joinWS(t, "capture", "thief")
	o, err := offer(joining{kind: "whep"}, ice.NewCreds())
	if err != nil {
		t.Fatal(err)
	}
	named := []string{
		fmt.Sprintf("candidate:1 1 udp 2130706431 %s %d typ host", victim.Addr(), victim.Port()),
		fmt.Sprintf("candidate:2 1 udp 2130706431 %s %d typ host", viewer.Addr(), viewer.Port()),
	}
	text := strings.ReplaceAll(o.SDP, "a=candidate", "a=x")
	text = addLines([]string{"a=" + named[0], "a=" + named[1]})(text)
	text = strings.ReplaceAll(text, "c=IN IP4 0.0.0.0", "c=IN IP4 "+victim.Addr().String())
	text = strings.ReplaceAll(text, " 9 UDP/TLS", fmt.Sprintf(" %d UDP/TLS", victim.Port()))
	w.mustRequest(t, api.MediaOffer, "capture", api.OfferParams{MS: joined.MS, Rev: 1, SDP: text}, nil)
	changes := s.shard(t).PathChanges
	for range soak(6, 20) {
		w.mustRequest(t, api.MediaCandidate, "capture", api.CandidateParams{MS: joined.MS, Candidates: named}, nil)
		time.Sleep(time.Second)
	}
	if now := s.shard(t).PathChanges; now != changes {
		t.Errorf("%d paths changed", now-changes)
	}
	w.mustRequest(t, api.ConferenceLeave, "capture", api.LeaveParams{}, nil)
	_ = w.CloseNow()
	sent, lost := room.end()
	t.Logf("%d of %d packets lost", lost, sent)
	if lost > 0 {
		t.Errorf("the publisher lost %d of %d", lost, sent)
	}
	ctrl.end(t)
}
