package focus

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

func (p *fakePlane) OpenInside(ids.Conference, ids.Connection, plane.Inside) (plane.Injector, error) {
	return nil, nil
}

func (p *fakePlane) OpenRTP(o plane.OpenRTP) (plane.LocalRTP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[o.Conn] = plane.Open{Conn: o.Conn, Fingerprints: []plane.Fingerprint{{Value: o.Remote.String()}}}
	at := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(40000+2*len(p.links)))
	return plane.LocalRTP{RTP: at, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()+1)}, nil
}

func (p *fakePlane) RetargetRTP(ids.Connection, netip.AddrPort, netip.AddrPort) error { return nil }

// phone brings a phone with one audio line into the conference.
func (h *house) phone(name string, port int) {
	h.t.Helper()
	text := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", port)
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: text, User: name, Name: name}})
	}()
	synctest.Wait()
	<-done
	if err != nil {
		h.t.Fatal(err)
	}
}

// lines tells what the phones are sent: port of the phone, sources by owner.
func (h *house) lines() string {
	h.f.mu.RLock()
	in := h.f.byURI["standup"]
	h.f.mu.RUnlock()
	owner := map[ids.Track]string{}
	if err := in.box.put(&item{look: func(r *room) {
		for _, k := range r.m.Conference().Tracks {
			owner[k.ID] = k.Device.Part.User
		}
	}}); err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
	h.plane.mu.Lock()
	defer h.plane.mu.Unlock()
	var out []string
	for _, s := range h.plane.subs {
		to := h.plane.links[s.Conn].Fingerprints[0].Value
		if !strings.HasPrefix(to, "192.0.2.9:") {
			continue
		}
		what := owner[s.Track]
		if what == "" {
			what = "mix"
		}
		if s.Topology != "" {
			what += "@" + s.Topology
		}
		out = append(out, to[len("192.0.2.9:"):]+" "+what)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestEveryMannerOfPhones(t *testing.T) {
	studio(t, func(h *house, _ *fakeMixer) {
		ana := &guest{client: h.client("ana", "ws"), in: true}
		ana.joins(api.JoinParams{Device: "dev-ana"})
		for i, name := range []string{"pia", "pit", "pol"} {
			h.phone(name, 5000+2*i)
		}
		mixes := "5000 mix, 5002 mix, 5004 mix"
		all := "5000 pit@relay, 5000 pol@relay, 5002 pia@relay, 5002 pol@relay, 5004 pia@relay, 5004 pit@relay"
		rows := []struct{ topology, want string }{
			{"auto", mixes},
			{"relay", all},
			{"switch", "5000 pit, 5002 pia, 5004 pia"},
			{"relay", all},
			{"asymmetric", "5000 mix@asymmetric, 5002 mix@asymmetric, 5004 mix@asymmetric"},
			{"sfu", mixes},
			{"hybrid", mixes},
			{"mixer", mixes},
			{"relay", all},
			{"translator", mixes},
		}
		for _, r := range rows {
			ana.set(r.topology)
			pass(3 * time.Second)
			if got := h.lines(); got != r.want {
				t.Errorf("%s: %s, want %s", r.topology, got, r.want)
			}
		}
		ana.set("relay")
		h.phone("pam", 5010)
		if got := h.lines(); strings.Count(got, "pam@relay") != 3 || strings.Count(got, "5010 ") != 3 {
			t.Errorf("one more: %s", got)
		}
	})
}
