//go:build abuse && linux

package abusetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/sdp"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/worker/wire"
)

var (
	identity   = sync.OnceValue(mustIdentity)
	handshakes = sync.OnceValue(func() *dtls.Pool { return dtls.NewPool(dtls.Limits{}) })
)

func mustIdentity() *dtls.Identity {
	id, err := dtls.NewIdentity()
	if err != nil {
		panic(err)
	}
	return id
}

// joining says how a client joins.
type joining struct {
	kind   string // "whip" or "whep"
	room   string
	token  string
	query  string     // of the address
	from   netip.Addr // both for HTTP and media; zero: 127.0.0.1
	setup  string     // of the offer; "": actpass, which makes the server the DTLS server
	edit   func(sdp string) string
	cert   *dtls.Identity // shown in DTLS when it is not the one in the offer
	prints []dtls.Fingerprint
	onRTP  func([]byte)
}

// client is one that joined.
type client struct {
	*wire.Peer
	status   int
	header   http.Header
	body     string
	resource string
	creds    ice.Creds // ours
	remote   ice.Creds
	server   netip.AddrPort
	answer   *sdp.Accepted
	url      string
	token    string
	took     time.Duration // of HTTP alone
	seq      uint16
}

// post offers and reads the answer; nothing is sent to the media port.
func (s *server) post(j joining) (*client, error) {
	creds := ice.NewCreds()
	o, err := offer(j, creds)
	if err != nil {
		return nil, err
	}
	text := o.SDP
	if j.edit != nil {
		text = j.edit(text)
	}
	c := &client{creds: creds, url: s.url, token: j.token}
	began := time.Now()
	if err := c.send(j, text); err != nil {
		return nil, err
	}
	c.took = time.Since(began)
	s.secret("ICE password of a client", creds.Pwd)
	if c.status != http.StatusCreated {
		return c, nil
	}
	c.resource = s.url + c.header.Get("Location")
	if c.answer, err = sdp.ParseAnswer(o, []byte(c.body)); err != nil {
		return nil, err
	}
	c.remote = ice.Creds{Ufrag: c.answer.Remote.Ufrag, Pwd: c.answer.Remote.Pwd.Reveal()}
	s.secret("ICE password of the server", c.remote.Pwd)
	for _, k := range c.answer.Candidates {
		if strings.EqualFold(k.Transport, "udp") {
			c.server = k.Addr
		}
	}
	return c, nil
}

func offer(j joining, creds ice.Creds) (*sdp.Offer, error) {
	hash, value := identity().Fingerprint()
	var sections []sdp.OfferSection
	for _, k := range []plane.Kind{plane.Audio, plane.Video} {
		sec := sdp.OfferSection{Kind: k, Receive: j.kind == "whep"}
		if j.kind == "whip" {
			sec.Send = &sdp.SendSource{SSRC: ids.Random32(), RTXSSRC: ids.Random32(), Stream: "abuse", Track: k.String(), CNAME: "abuse"}
			if k == plane.Audio {
				sec.Send.RTXSSRC = 0
			}
		}
		sections = append(sections, sec)
	}
	return sdp.NewOffer(sdp.NewSession(uint64(ids.Random32()), ""), sdp.OfferConfig{
		Local: plane.Local{
			ICE:         plane.ICECreds{Ufrag: creds.Ufrag, Pwd: ids.Secret(creds.Pwd)},
			Fingerprint: plane.Fingerprint{Hash: hash, Value: value},
		},
		Setup: j.setup, Sections: sections,
	})
}

func (c *client) send(j joining, text string) error {
	req, err := http.NewRequest(http.MethodPost, c.url+"/"+j.kind+"/"+j.room+"?"+j.query, strings.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if j.token != "" {
		req.Header.Set("Authorization", "Bearer "+j.token)
	}
	res, err := from(j.from).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	c.status, c.header, c.body = res.StatusCode, res.Header, string(b)
	return err
}

// from is a client that calls from an address of loopback.
func from(a netip.Addr) *http.Client {
	if !a.IsValid() {
		return plain
	}
	d := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)), Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.DialContext}, Timeout: 20 * time.Second}
}

// host returns the n-th address of loopback, from 127.1.0.1 on.
func host(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + n/62500), byte(n / 250 % 250), byte(1 + n%250)})
}

// join posts and starts the wire; the caller waits for Connected or Over.
func (s *server) join(t *testing.T, j joining) (*client, error) {
	t.Helper()
	c, err := s.post(j)
	if err != nil {
		return nil, err
	}
	if c.status != http.StatusCreated {
		return c, fmt.Errorf("%s answered %d: %.200s", j.kind, c.status, c.body)
	}
	cfg := wire.Config{
		Local: c.creds, Remote: c.remote, Server: c.server, Bind: j.from, Identity: identity(),
		DTLSClient: c.answer.DTLSClient, Handshakes: handshakes(), CheckInterval: 30 * time.Millisecond,
		OnRTP: func(_ clock.Time, b []byte) {
			if j.onRTP != nil {
				j.onRTP(b)
			}
		},
		OnRTCP: func(clock.Time, []byte) {},
	}
	if j.cert != nil {
		cfg.Identity = j.cert
	}
	for _, f := range c.answer.Prints {
		cfg.Fingerprints = append(cfg.Fingerprints, dtls.Fingerprint{Hash: f.Hash, Value: f.Value})
	}
	if j.prints != nil {
		cfg.Fingerprints = j.prints
	}
	if c.Peer, err = wire.Dial(cfg); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(context.Background())
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c, nil
}

// mustJoin joins and waits until media may flow.
func (s *server) mustJoin(t *testing.T, j joining) *client {
	t.Helper()
	c, err := s.join(t, j)
	if err == nil {
		err = c.up(20 * time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) up(limit time.Duration) error {
	select {
	case <-c.Connected():
		return nil
	case <-c.Over():
		return fmt.Errorf("over: %w", c.Err())
	case <-time.After(limit):
		return fmt.Errorf("not connected within %v", limit)
	}
}

// leave ends it with a DELETE.
func (c *client) leave() {
	if req, err := http.NewRequest(http.MethodDelete, c.resource, nil); err == nil {
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		if res, err := plain.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}
	if c.Peer != nil {
		c.Close()
	}
}

// section returns what was agreed on for one kind.
func (c *client) section(k plane.Kind) *plane.Section {
	i := slices.IndexFunc(c.answer.Media.Sections, func(s plane.Section) bool { return s.Kind == k })
	return &c.answer.Media.Sections[i]
}

// audio sends one numbered Opus packet.
func (c *client) audio(number uint64) error {
	sec := c.section(plane.Audio)
	var hdr [rtp.MaxHeader]byte
	var w rtp.Writer
	w.Begin(hdr[:], &rtp.Fields{PayloadType: sec.Send.Codecs[0].PT, Seq: c.seq, TS: uint32(c.seq) * 960, SSRC: sec.Send.SSRC}, false)
	w.Add(sec.Exts[plane.ExtMID], []byte(sec.MID))
	c.seq++
	return c.SendRTP(hdr[:w.End()], numbered(number))
}

const magic = "abusetst"

func numbered(n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(magic), n), make([]byte, 60)...)
}

// counter collects numbers of audio packets at a receiver.
type counter struct {
	packets atomic.Uint64 // all
	mu      sync.Mutex    // guards seen
	seen    map[uint64]bool
}

func (k *counter) take(b []byte) {
	k.packets.Add(1)
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		return
	}
	p := b[h.PayloadOff:h.PayloadEnd]
	if len(p) < 16 || string(p[:8]) != magic {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == nil {
		k.seen = map[uint64]bool{}
	}
	k.seen[binary.BigEndian.Uint64(p[8:])] = true
}

func (k *counter) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.seen)
}

// call is a room with one numbered publisher and one receiver.
type call struct {
	pub, sub *client
	got      counter
	sent     uint64
	stop     chan struct{}
	done     chan struct{}
}

// call sets up a room and waits for its first packet.
func (s *server) call(t *testing.T, room string) *call {
	t.Helper()
	c := &call{stop: make(chan struct{}), done: make(chan struct{})}
	c.pub = s.mustJoin(t, joining{kind: "whip", room: room})
	c.sub = s.mustJoin(t, joining{kind: "whep", room: room, onRTP: c.got.take})
	for n := 0; c.got.count() == 0; n++ {
		if n > 500 {
			t.Fatalf("nothing arrives in %s", room)
		}
		_ = c.pub.audio(1 << 40)
		time.Sleep(20 * time.Millisecond)
	}
	go func() {
		defer close(c.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
				if c.pub.audio(c.sent) == nil {
					c.sent++
				}
			}
		}
	}()
	return c
}

// end stops sending and returns how many packets were sent and lost.
func (c *call) end() (sent, lost int) {
	close(c.stop)
	<-c.done
	for range 50 { // what is on its way
		if c.got.count() > int(c.sent) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.pub.leave()
	c.sub.leave()
	return int(c.sent), int(c.sent) + 1 - c.got.count() // the first one has a number of its own
}

// percentile of durations, 0 to 1.
func percentile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

// joinTimes joins n viewers of a room one after another.
func (s *server) joinTimes(t *testing.T, n int, j joining, during func(*client)) (took []time.Duration) {
	t.Helper()
	for i := range n {
		began := time.Now()
		c, err := s.join(t, j)
		if err != nil {
			t.Errorf("join %d: %v", i, err)
			continue
		}
		if during != nil {
			during(c)
		}
		if err := c.up(20 * time.Second); err != nil {
			t.Errorf("join %d: %v", i, err)
		}
		took = append(took, time.Since(began))
		c.leave()
	}
	return took
}
