//go:build abuse && linux

package abusetest

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/internal/transport/dtls"
)

// hello is a ClientHello that offers only the NULL cipher; with fragmented set,
// only its first bytes in a fragment that says more will come.
func hello(seq byte, fragmented bool) []byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...) // version, random
	body = append(body, 0, 0, 0, 2, 0, 0, 1, 0)             // session, cookie, one suite: NULL, no compression
	total := len(body)
	if fragmented {
		body = body[:10]
	}
	h := []byte{1, 0, 0, byte(total), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}
	rec := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, seq, 0, byte(len(h) + len(body))}
	return append(append(rec, h...), body...)
}

func hellos() (b [][]byte) {
	for i := range 64 {
		b = append(b, hello(byte(i), i%2 == 0))
	}
	return b
}

// TestD1_JoinsUnderForeignClientHellos: joins in series succeed, in both DTLS
// roles, while 5,000 ClientHellos a second come from elsewhere; then also from
// the joining client's own address and port, the best a spoofer can do.
func TestD1_JoinsUnderForeignClientHellos(t *testing.T) {
	s := start(t)
	c := s.control(t)
	n := 100
	setups := []string{"actpass", "passive"}
	run := func(during func(*client)) (all []time.Duration) {
		for _, setup := range setups {
			all = append(all, s.joinTimes(t, n/len(setups), joining{kind: "whep", room: controlRoom, setup: setup}, during)...)
		}
		return all
	}
	before := run(nil)
	f := flood(t, netip.AddrPort{}, s.udp, 5000, hellos())
	during := run(nil)
	spoofed := run(func(c *client) {
		for i := 0; ; i++ {
			select {
			case <-c.Connected():
				return
			case <-c.Over():
				return
			case <-time.After(time.Millisecond):
				_ = c.SendRaw(hello(byte(i), i%2 == 0))
			}
			if i > 20000 {
				return
			}
		}
	})
	sent, replies := f.end()
	if replies > 0 {
		t.Errorf("%d replies to strangers", replies)
	}
	if len(during) < n/2*2 || len(spoofed) < n/2*2 {
		t.Errorf("%d and %d of %d joins", len(during), len(spoofed), n/2*2)
	}
	p := func(d []time.Duration) time.Duration { return percentile(d, .95).Round(100 * time.Microsecond) }
	t.Logf("%d foreign hellos; join p95 before %v, under the flood %v, also from the client's own address %v (aim: +100ms)",
		sent, p(before), p(during), p(spoofed))
	if p(during) > p(before)+time.Second || p(spoofed) > p(before)+2*time.Second {
		t.Error("joins got slow")
	}
	if d := s.shard(t).Dropped["demux-unknown-source"]; d < sent/2 {
		t.Errorf("%d of %d foreign hellos were counted", d, sent)
	}
	c.end(t)
}

// TestD14_A2_FingerprintIsEnforced: in both DTLS roles a certificate other than
// the one signalled, a wrong hash, and two fingerprints of one hash never give a
// session: it is closed at once and no frame comes out.
//
// Where the client is the one to refuse, its alert comes in the clear and must
// not count (anybody could send it): the server's time limit ends the join.
func TestD14_A2_FingerprintIsEnforced(t *testing.T) {
	s := start(t, "--dev", "--limits.half-open-time", "2s")
	ctrl := s.control(t)
	room := s.call(t, "fingerprints")
	other := mustIdentity()
	hash, value := other.Fingerprint()
	swap := func(f func(line string) string) func(string) string {
		return func(text string) string {
			lines := strings.Split(text, "\r\n")
			for i, l := range lines {
				if strings.HasPrefix(l, "a=fingerprint:") {
					lines[i] = f(l)
				}
			}
			return strings.Join(lines, "\r\n")
		}
	}
	lie := func(l string) string { // one digit of the hash differs
		last := l[len(l)-1]
		if last == '0' {
			return l[:len(l)-1] + "1"
		}
		return l[:len(l)-1] + "0"
	}
	cases := []struct {
		name string
		j    joining
	}{
		{"the certificate is another", joining{cert: other}},
		{"the hash is wrong", joining{edit: swap(lie)}},
		{"the name of the hash is wrong", joining{edit: swap(func(l string) string { return strings.Replace(l, "sha-256", "sha-512", 1) })}},
		{"two fingerprints of one hash", joining{edit: swap(func(l string) string { return l + "\r\na=fingerprint:" + hash + " " + value })}},
		{"the server's certificate is another", joining{prints: []dtls.Fingerprint{{Hash: hash, Value: value}}}},
	}
	for _, setup := range []string{"actpass", "passive"} {
		for _, kind := range []string{"whip", "whep"} {
			for _, tc := range cases {
				t.Run(fmt.Sprintf("server=%s/%s/%s", map[string]string{"actpass": "passive", "passive": "active"}[setup], kind, tc.name), func(t *testing.T) {
					j := tc.j
					j.kind, j.room, j.setup = kind, "fingerprints", setup
					s.impostor(t, j)
				})
			}
		}
	}
	if sent, lost := room.end(); lost > 0 {
		t.Errorf("the room beside lost %d of %d", lost, sent)
	}
	if extra := len(room.got.seen); extra > int(room.sent)+1 {
		t.Errorf("%d packets that nobody sent", extra-int(room.sent)-1)
	}
	ctrl.end(t)
}

// impostor joins as j says and must not get in. A description that contradicts
// itself is refused at once, everything else at the handshake.
func (s *server) impostor(t *testing.T, j joining) {
	var got counter
	j.onRTP = got.take
	links, failed := s.stats(t, false).Media.Links, s.shard(t).HandshakesFailed
	began := time.Now()
	c, err := s.join(t, j)
	if c != nil && c.status != http.StatusCreated {
		if c.status != 400 && c.status != 422 {
			t.Errorf("answered %d", c.status)
		}
		t.Logf("refused with %d: %s", c.status, c.body)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.answer.DTLSClient == (j.setup == "passive") {
		t.Errorf("with setup:%s we are the DTLS client: %v", j.setup, c.answer.DTLSClient)
	}
	for i := 0; ; i++ { // both ends must find out; meanwhile the impostor pushes on
		if j.kind == "whip" {
			_ = c.audio(1<<50 + uint64(i))
		}
		st := s.stats(t, false)
		if (j.prints != nil || st.Media.Shards[0].HandshakesFailed > failed) && st.Media.Links <= links {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("not closed: %v, %d failed handshakes", st, st.Media.Shards[0].HandshakesFailed-failed)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	if took > 5*time.Second {
		t.Errorf("closed after %v", took)
	}
	if st := c.Stats(); st.RTPIn+st.RTCPIn > 0 || got.packets.Load() > 0 {
		t.Errorf("%d frames came out", st.RTPIn+st.RTCPIn)
	}
	t.Logf("closed after %v (aim: 1s)", took.Round(time.Millisecond))
	c.leave()
}
