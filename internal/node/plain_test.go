package node

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/config"
)

// Phones over real sockets against the whole server, by its REST surface.

// plainSite is a server with a conference that runs.
type plainSite struct {
	*Node
	t     *testing.T
	token string
}

var nextRTP struct {
	sync.Mutex
	port uint16
}

// rtpRange gives each server of this process ports of its own.
func rtpRange() config.PortRange {
	nextRTP.Lock()
	defer nextRTP.Unlock()
	if nextRTP.port == 0 {
		nextRTP.port = 24000
	}
	lo := nextRTP.port
	nextRTP.port += 40
	return config.PortRange{Low: lo, High: lo + 39}
}

func newPlainSite(t *testing.T) *plainSite {
	t.Helper()
	s := &plainSite{t: t}
	s.Node = wholeServer(t, func(c *config.Server) { c.RTPPorts = rtpRange() })
	var x struct{ Token string }
	s.json("POST", s.URL()+"/auth/exchange", "", `{"name":"Ana"}`, 200, &x)
	s.token = x.Token
	s.json("POST", s.URL()+"/api/v1/conferences", "application/json", `{"uri":"standup","start":true}`, 201, nil)
	return s
}

// ask sends a request and returns status, headers and body.
func (s *plainSite) ask(method, url, kind, body string) (*http.Response, string) {
	s.t.Helper()
	if !strings.HasPrefix(url, "http") {
		url = s.URL() + "/api/v1/conferences/standup/rtp" + url
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if kind == "" && body != "" {
		kind = "application/json"
	}
	r.Header.Set("Content-Type", kind)
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := (&http.Client{Timeout: herdWait}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

func (s *plainSite) json(method, url, kind, body string, code int, into any) {
	s.t.Helper()
	resp, b := s.ask(method, url, kind, body)
	if resp.StatusCode != code {
		s.t.Fatalf("%s %s: %d %s", method, url, resp.StatusCode, b)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(b), into); err != nil {
			s.t.Fatalf("%s: %v", b, err)
		}
	}
}

// phone is the far end: an RTP and an RTCP socket.
type phone struct {
	t         *testing.T
	rtp, rtcp *net.UDPConn
	gotRTP    chan datagram
	gotRTCP   chan datagram
	server    netip.AddrPort // of the audio line
	location  string
	seq       uint16
	ts        uint32
	ssrc      uint32
	played    int // samples
	stop      chan struct{}
	done      sync.WaitGroup

	mu    sync.Mutex // guards what the peer changes while it talks
	heads []head     // of all RTP that came
}

// head is what must be continuous.
type head struct {
	ssrc, ts uint32
	seq      uint16
}

type datagram struct {
	from netip.AddrPort
	b    []byte
}

func newPhone(t *testing.T, host string, ssrc uint32) *phone {
	t.Helper()
	p := &phone{t: t, ssrc: ssrc, gotRTP: make(chan datagram, 1<<14), gotRTCP: make(chan datagram, 1<<14), stop: make(chan struct{})}
	for p.rtcp == nil { // an even port with its neighbour
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
		if err != nil {
			t.Fatal(err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		if b, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host), Port: port + 1}); err == nil && port%2 == 0 {
			p.rtp, p.rtcp = a, b
		} else {
			_ = a.Close()
			if err == nil {
				_ = b.Close()
			}
		}
	}
	for conn, ch := range map[*net.UDPConn]chan datagram{p.rtp: p.gotRTP, p.rtcp: p.gotRTCP} {
		p.done.Go(func() {
			b := make([]byte, 2048)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				if conn == p.rtp && n >= 12 {
					p.mu.Lock()
					p.heads = append(p.heads, head{binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint16(b[2:])})
					p.mu.Unlock()
				}
				ch <- datagram{from, bytes.Clone(b[:n])}
			}
		})
	}
	t.Cleanup(func() {
		close(p.stop)
		_ = p.rtp.Close()
		_ = p.rtcp.Close()
		p.done.Wait()
	})
	return p
}

func (p *phone) addr() netip.AddrPort { return p.rtp.LocalAddr().(*net.UDPAddr).AddrPort() }

// offer is a G.711 phone's.
func (p *phone) offer(attrs ...string) string {
	a := p.addr()
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0 8 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n%s",
		a.Addr(), a.Addr(), a.Port(), lines(attrs))
}

func lines(attrs []string) string {
	out := ""
	for _, a := range attrs {
		out += a + "\r\n"
	}
	return out
}

var (
	mAudio = regexp.MustCompile(`m=audio (\d+) `)
	cLine  = regexp.MustCompile(`c=IN IP4 (\S+)`)
)

// dial joins by REST.
func (p *phone) dial(s *plainSite, offer string) string {
	p.t.Helper()
	resp, body := s.ask("POST", "?name=Phone", "application/sdp", offer)
	if resp.StatusCode != 201 || resp.Header.Get("Content-Type") != "application/sdp" {
		p.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	p.location = s.URL() + resp.Header.Get("Location")
	p.learn(body)
	return body
}

func (p *phone) learn(answer string) {
	p.t.Helper()
	m, c := mAudio.FindStringSubmatch(answer), cLine.FindStringSubmatch(answer)
	if m == nil || c == nil {
		p.t.Fatalf("answer: %s", answer)
	}
	port, _ := strconv.Atoi(m[1])
	p.server = netip.AddrPortFrom(netip.MustParseAddr(c[1]), uint16(port))
}

// talk sends until the test ends.
func (p *phone) talk(hz float64) {
	p.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				_, _ = p.rtp.WriteToUDPAddrPort(p.packet(hz), p.server)
			}
		}
	})
}

// hear waits for a packet that holds.
func (p *phone) hear(what string, ok func(datagram) bool) datagram {
	p.t.Helper()
	limit := time.After(herdWait)
	for {
		select {
		case d := <-p.gotRTP:
			if ok(d) {
				return d
			}
		case <-limit:
			p.t.Fatalf("%s did not come", what)
		}
	}
}

// TestPlainTwoPhones: two G.711 phones, brought in by REST, hear each other;
// one leaves by DELETE, and its ports are free.
func TestPlainTwoPhones(t *testing.T) {
	s := newPlainSite(t)
	a, b := newPhone(t, "127.0.0.1", 0xaaaa), newPhone(t, "127.0.0.1", 0xbbbb)
	answer := a.dial(s, a.offer())
	b.dial(s, b.offer())
	if !strings.Contains(answer, "telephone-event/8000") || a.server.Port()%2 != 0 {
		t.Errorf("answer %s", answer)
	}
	a.talk(440)
	b.talk(1000)
	b.hearsTone(440, 1000)
	a.hearsTone(1000, 440)
	if d := b.hear("a packet", func(d datagram) bool { return len(d.b) >= 12 }); binary.BigEndian.Uint32(d.b[8:]) == 0xaaaa || d.from != b.server {
		t.Errorf("from %s, described %s: %x", d.from, b.server, d.b[:12])
	}
	var list api.RTPLegs
	s.json("GET", "", "", "", 200, &list)
	if len(list.Legs) != 2 || list.Legs[0].Streams[0].State != "connected" || list.Legs[0].Streams[0].PacketsIn == 0 {
		t.Errorf("%+v", list)
	}
	s.json("DELETE", a.location, "", "", 204, nil)
	s.json("GET", a.location, "", "", 404, nil)
	s.json("DELETE", a.location, "", "", 404, nil)
	var people api.Participants
	s.json("GET", s.URL()+"/api/v1/conferences/standup/participants", "", "", 200, &people)
	for _, p := range people.Participants {
		if p.State == "joined" && len(p.Devices) > 0 && "rtp-"+a.location[strings.LastIndex(a.location, "/")+1:] == p.Devices[0] {
			t.Errorf("still there: %+v", p)
		}
	}
}

// TestPlainOneFormat: of several formats one is agreed, and stays in later
// offers.
func TestPlainOneFormat(t *testing.T) {
	s := newPlainSite(t)
	a := newPhone(t, "127.0.0.1", 0xaaaa)
	if answer := a.dial(s, strings.Replace(a.offer(), "RTP/AVP 0 8 101", "RTP/AVP 8 0 101 13", 1)); !strings.Contains(answer, "RTP/AVP 8 101 13\r\n") {
		t.Errorf("%s", answer)
	}
	if answer := a.reoffer(s, strings.Replace(a.offer(), "o=- 1 1", "o=- 1 2", 1)); !strings.Contains(answer, "RTP/AVP 8 101\r\n") {
		t.Errorf("%s", answer)
	}
}

// watcher is somebody in the room who follows its events.
type watcher struct {
	t   *testing.T
	got map[string]chan json.RawMessage
}

func newWatcher(t *testing.T, s *plainSite, events ...string) *watcher {
	t.Helper()
	w := &watcher{t: t, got: map[string]chan json.RawMessage{}}
	for _, e := range append(events, "participant.dtmf", "track.published", "track.unpublished", "participant.left") {
		w.got[e] = make(chan json.RawMessage, 256)
	}
	c := control.Caller{Session: ids.NewSession(), Dialect: "ws", By: control.Principal{Subject: "sip:watcher", Name: "Watcher", Role: api.RoleModerator, Trusted: true}}
	s.focus.Attach(c, w)
	answer := make(chan *api.Response, 4)
	params, _ := json.Marshal(api.JoinParams{Device: "w", Subscribe: "none"})
	s.focus.Do(c, &api.Request{Kind: "request", ID: "1", Method: api.ConferenceJoin, Conf: "standup", Params: params}, func(r *api.Response) { answer <- r })
	if r := <-answer; r.Error != nil {
		t.Fatalf("%+v", r.Error)
	}
	s.focus.Subscribe(c, &api.Subscribe{ID: "2", Conf: "standup", Package: "conference"}, func(r *api.Response) { answer <- r })
	if r := <-answer; r.Error != nil {
		t.Fatalf("%+v", r.Error)
	}
	return w
}

// Notify implements control.Sink.
func (w *watcher) Notify(n *api.Notify) {
	if c := w.got[n.Event]; c != nil {
		select {
		case c <- append(json.RawMessage(nil), n.Body...):
		default:
		}
	}
}

// Message implements control.Sink.
func (*watcher) Message(*api.Message) {}

// Goodbye implements control.Sink.
func (*watcher) Goodbye(api.Goodbye) {}

func (w *watcher) event(name string) json.RawMessage {
	w.t.Helper()
	select {
	case b := <-w.got[name]:
		return b
	case <-time.After(herdWait):
		w.t.Fatalf("no event %s", name)
	}
	return nil
}
