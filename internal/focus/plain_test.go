package focus

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// plainPlane plays the part of plain sessions as well.
type plainPlane struct {
	*fakePlane
	opened  []plane.OpenRTP
	moved   map[ids.Connection]netip.AddrPort
	full    bool
	pressed string
}

func (p *plainPlane) OpenInside(ids.Conference, ids.Connection, plane.Inside) (plane.Injector, error) {
	return nil, fault.New(501, "not-implemented", "no")
}

func (p *plainPlane) OpenRTP(o plane.OpenRTP) (plane.LocalRTP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return plane.LocalRTP{}, fault.New(503, "no-ports", "full")
	}
	if _, ok := p.links[o.Conn]; ok {
		p.breach("open %s twice", o.Conn)
	}
	p.links[o.Conn] = plane.Open{Conf: o.Conf, Conn: o.Conn}
	p.opened = append(p.opened, o)
	at := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(20000+2*len(p.opened)))
	return plane.LocalRTP{RTP: at, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()+1)}, nil
}

func (p *plainPlane) RetargetRTP(c ids.Connection, to, _ netip.AddrPort) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved[c] = to
	return nil
}

func (p *plainPlane) PressKeys(_ ids.Connection, keys string, _ time.Duration) error {
	p.pressed += keys
	return nil
}

const twoLines = `v=0
o=- 1 1 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 4000 RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000
m=video 4002 RTP/AVP 96
c=IN IP4 192.0.2.11
a=rtpmap:96 VP8/90000
`

// withPhone brings a terminal of two lines into a conference that Ana is in.
func withPhone(t *testing.T, run func(h *house, p *plainPlane, ana *client, leg api.RTPLeg)) {
	t.Helper()
	var p *plainPlane
	inHouse(t, func(c *Config) {
		p = &plainPlane{fakePlane: c.Plane.(*fakePlane), moved: map[ids.Connection]netip.AddrPort{}}
		c.Plane = p
	}, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{Device: "d"})
		ana.watches()
		leg, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines, Name: "Room", User: "sip:room@example.org", Role: api.RolePresenter}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		run(h, p, ana, leg)
	})
}

func (p *plainPlane) tell(h *house, conn string, k plane.EventKind, why string) {
	p.mu.Lock()
	conf := p.links[ids.Connection(conn)].Conf
	p.mu.Unlock()
	h.f.HandleMedia(plane.Event{Conf: conf, Kind: k, Conn: ids.Connection(conn), Reason: why})
	synctest.Wait()
}

// kindsOn lists what is published on a connection.
func (p *plainPlane) kindsOn(conn string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.tracks {
		if string(k.Conn) == conn {
			out = append(out, k.Kind.String()+" "+string(k.Track)+" "+k.CNAME)
		}
	}
	return out
}

// TestSPL5_APartThatDies: one line falls silent: its medium ends, the endpoint
// and the other stay; when it speaks again, its medium is back. Both are one
// synchronisation context (SPL-1).
func TestSPL5_APartThatDies(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		if len(leg.Streams) != 2 || leg.Streams[0].Conn == leg.Streams[1].Conn {
			t.Fatalf("%+v", leg)
		}
		audio, video := leg.Streams[0].Conn, leg.Streams[1].Conn
		p.tell(h, audio, plane.LinkConnected, "")
		p.tell(h, video, plane.LinkConnected, "")
		a, v := p.kindsOn(audio), p.kindsOn(video)
		if len(a) != 1 || len(v) != 1 || strings.Fields(a[0])[2] != strings.Fields(v[0])[2] {
			t.Fatalf("%v %v", a, v)
		}
		p.tell(h, video, plane.LinkDisconnected, "silent")
		if got := p.kindsOn(video); len(got) != 0 {
			t.Errorf("still published: %v", got)
		}
		if got := p.kindsOn(audio); len(got) != 1 {
			t.Errorf("sound is gone: %v", got)
		}
		list, err := h.f.RTPs(context.Background(), "standup")
		if err != nil || len(list) != 1 || list[0].Streams[1].State != "silent" || list[0].Streams[0].State != "connected" {
			t.Errorf("%+v %v", list, err)
		}
		p.tell(h, video, plane.LinkConnected, "")
		if got := p.kindsOn(video); len(got) != 1 || got[0] == v[0] {
			t.Errorf("back: %v, before %v", got, v)
		}
		p.tell(h, video, plane.LinkDisconnected, "bye") // and again
		p.tell(h, video, plane.LinkConnected, "")
		if got := p.kindsOn(video); len(got) != 1 {
			t.Errorf("back again: %v", got)
		}
	})
}

// TestPlainHold: what the peer does not send is muted by itself, and not taken
// for a death; another address is followed; m-lines cannot go.
func TestPlainHold(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		offer := func(change ...string) (api.RTPLeg, error) {
			return h.f.OfferRTP(context.Background(), "standup", leg.ID, []byte(strings.NewReplacer(change...).Replace(twoLines)))
		}
		muted := func() (n int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, k := range p.tracks {
				if k.Muted {
					n++
				}
			}
			return n
		}
		a, err := offer("o=- 1 1", "o=- 1 2", "t=0 0", "t=0 0\na=sendonly", "192.0.2.10", "192.0.2.77")
		if err != nil || strings.Count(a.SDP, "a=recvonly") != 2 || muted() != 0 {
			t.Errorf("%v %d muted\n%s", err, muted(), a.SDP)
		}
		if to := p.moved[ids.Connection(leg.Streams[0].Conn)]; to.String() != "192.0.2.77:4000" {
			t.Errorf("moved to %v", to)
		}
		if a, err = offer("t=0 0", "t=0 0\na=inactive"); err != nil || strings.Count(a.SDP, "a=inactive") != 2 || muted() != 2 {
			t.Errorf("%v %d muted", err, muted())
		}
		if a, err = offer(); err != nil || strings.Count(a.SDP, "a=sendrecv") != 2 || muted() != 0 {
			t.Errorf("%v %d muted\n%s", err, muted(), a.SDP)
		}
		if _, err = h.f.OfferRTP(context.Background(), "standup", leg.ID, []byte(twoLines[:strings.Index(twoLines, "m=video")])); fault.From(err).Code != 400 {
			t.Errorf("fewer lines: %v", err)
		}
		if a, err = offer("m=video 4002", "m=video 0"); err != nil || !strings.Contains(a.SDP, "m=video 0 ") || a.Streams[1].State != "rejected" {
			t.Errorf("%v %+v", err, a)
		}
		if links, _, _ := p.counts(); links != 1 {
			t.Errorf("%d links", links)
		}
		if a, err = offer(); err != nil || a.Streams[1].State != "connected" {
			t.Errorf("the line is back: %v %+v", err, a)
		}
	})
}

// TestPlainOfferOfOthers: a later offer does not turn lines into others, nor a
// phone into a group; RTCP on another port is a session of its own.
func TestPlainOfferOfOthers(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		offer := func(sdp string) (api.RTPLeg, error) {
			return h.f.OfferRTP(context.Background(), "standup", leg.ID, []byte(sdp))
		}
		for what, x := range map[string]struct {
			code int
			sdp  string
		}{
			"names swapped":     {400, strings.Replace(strings.Replace(twoLines, "a=rtpmap:101", "a=mid:1\na=rtpmap:101", 1), "a=rtpmap:96", "a=mid:0\na=rtpmap:96", 1)},
			"another name":      {400, twoLines + "a=mid:x\n"},
			"another medium":    {400, strings.Replace(twoLines, "m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event", "m=video 4000 RTP/AVP 101\na=rtpmap:101 VP8", 1)},
			"a group":           {488, strings.ReplaceAll(strings.ReplaceAll(twoLines, "192.0.2.10", "233.252.0.1/1"), "192.0.2.11", "233.252.0.2/1")},
			"one line a group":  {488, strings.Replace(twoLines, "c=IN IP4 192.0.2.11", "c=IN IP4 233.252.0.2/1", 1)},
			"broadcast":         {400, strings.Replace(twoLines, "192.0.2.11", "255.255.255.255", 1)},
			"fewer lines":       {400, twoLines[:strings.Index(twoLines, "m=video")]},
			"more than allowed": {400, twoLines + strings.Repeat("m=audio 5000 RTP/AVP 0\n", 7)},
		} {
			if _, err := offer(x.sdp); fault.From(err).Code != x.code {
				t.Errorf("%s: %v", what, err)
			}
		}
		if len(p.moved) != 0 || len(p.opened) != 2 {
			t.Errorf("%v moved, %d opened", p.moved, len(p.opened))
		}
		if _, err := offer(twoLines + "a=rtcp-mux\n"); err != nil || len(p.opened) != 3 || !p.opened[2].Mux {
			t.Errorf("%v, %d opened", err, len(p.opened))
		}
		if links, _, _ := p.counts(); links != 2 {
			t.Errorf("%d links", links)
		}
	})
}

// TestPlainEnds: a phone that is put out, and a conference that ends, leave
// nothing behind.
func TestPlainEnds(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		second, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines}})
		if err != nil || second.ID == leg.ID || !strings.HasPrefix(second.User, "rtp:") {
			t.Fatalf("%+v %v", second, err)
		}
		p.full = true
		_, err = h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines}})
		if fault.From(err).Reason != "no-ports" {
			t.Errorf("%v", err)
		}
		if list, _ := h.f.RTPs(context.Background(), "standup"); len(list) != 2 {
			t.Errorf("%d endpoints", len(list))
		}
		if err := h.f.CloseRTP(context.Background(), "standup", second.ID); err != nil {
			t.Error(err)
		}
		if _, err := h.f.RTP(context.Background(), "standup", second.ID); fault.From(err).Code != 404 {
			t.Errorf("%v", err)
		}
		ana.must(api.ParticipantExpel, api.ExpelParams{Part: leg.Part}, nil)
		synctest.Wait()
		if list, _ := h.f.RTPs(context.Background(), "standup"); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		h.f.phones.mu.Lock()
		n := len(h.f.phones.byID)
		h.f.phones.mu.Unlock()
		if links, tracks, subs := p.counts(); links+tracks+subs+n != 0 {
			t.Errorf("%d links, %d tracks, %d subscriptions, %d sessions", links, tracks, subs, n)
		}
	})
}

// TestPlainComesInByAuthority: lock and lobby do not hold up what an
// administrator brings in; it has the role that was asked for, and no more.
func TestPlainComesInByAuthority(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, _ api.RTPLeg) {
		on := true
		ana.must(api.PolicySet, api.SetPolicyParams{Policy: api.Policy{Lobby: &on}}, nil)
		ana.must(api.ConferenceLock, api.LockParams{}, nil)
		leg, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines, User: "sip:a@example.org"}})
		if err != nil {
			t.Fatal(err)
		}
		silent, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines, User: "sip:o@example.org", Role: api.RoleObserver}})
		if err != nil || strings.Count(silent.SDP, "a=sendonly") != 2 || strings.Count(leg.SDP, "a=sendrecv") != 2 {
			t.Errorf("%v\n%s\n%s", err, leg.SDP, silent.SDP)
		}
		s, err := h.f.Inspect(context.Background(), "standup", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Participants {
			if want := map[string]api.Role{"sip:a@example.org": api.RoleAttendee, "sip:o@example.org": api.RoleObserver}[x.User]; want != "" && (x.Role != want || x.State != "joined") {
				t.Errorf("%+v", x)
			}
		}
	})
}

// TestPlainLatch: what was asked reaches the media side; by default no host but
// the described one is followed.
func TestPlainLatch(t *testing.T) {
	on, off := true, false
	withPhone(t, func(h *house, p *plainPlane, _ *client, _ api.RTPLeg) {
		for _, x := range []struct {
			ask             *bool
			latch, anywhere bool
		}{{nil, true, false}, {&on, true, true}, {&off, false, false}} {
			n := len(p.opened)
			if _, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{SDP: twoLines, Latch: x.ask}}); err != nil {
				t.Fatal(err)
			}
			for _, o := range p.opened[n:] {
				if o.Latch != x.latch || o.Anywhere != x.anywhere {
					t.Errorf("%+v", o)
				}
			}
		}
	})
}

// TestPlainConferenceEnds: the sessions of phones go with their conference.
func TestPlainConferenceEnds(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		ana.must(api.ConferenceEnd, api.EndParams{}, nil)
		synctest.Wait()
		h.f.phones.mu.Lock()
		n := len(h.f.phones.byID)
		h.f.phones.mu.Unlock()
		h.f.mu.RLock()
		m := len(h.f.sessions)
		h.f.mu.RUnlock()
		if links, tracks, subs := p.counts(); n != 0 || m != 1 || links+tracks+subs != 0 {
			t.Errorf("%d phones, %d sessions, %d links, %d tracks, %d subscriptions", n, m, links, tracks, subs)
		}
	})
}

// TestPlainKeyEvents: everybody hears of a key.
func TestPlainKeyEvents(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, leg api.RTPLeg) {
		conf := p.opened[0].Conf
		h.f.HandleMedia(plane.Event{Conf: conf, Kind: plane.KeyPressed, Conn: ids.Connection(leg.Streams[0].Conn), Key: '#', Duration: 120 * time.Millisecond})
		synctest.Wait()
		got := ana.events("participant.dtmf")
		if len(got) != 1 || got[0]["key"] != "#" || fmt.Sprint(got[0]["durationMs"]) != "120" || got[0]["user"] != "sip:room@example.org" {
			t.Errorf("%v", got)
		}
		if err := h.f.PressRTP(context.Background(), "standup", leg.ID, api.RTPKeys{Keys: "12"}); err != nil || p.pressed != "12" {
			t.Errorf("%v %q", err, p.pressed)
		}
	})
}

// TestPlainGroupIsSeen: a group is in the roster, as an observer that sends
// nothing, and its link has a group.
func TestPlainGroupIsSeen(t *testing.T) {
	withPhone(t, func(h *house, p *plainPlane, ana *client, _ api.RTPLeg) {
		leg, err := h.f.OpenRTP(context.Background(), "standup", RTPRequest{Open: api.RTPOpen{
			Group: &api.RTPGroup{Group: "233.252.0.1:5004", TTL: 9, Video: "VP8", Feedback: "reflection"}, Name: "Hall", Role: api.RoleModerator,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(leg.SDP, "c=IN IP4 233.252.0.1/9") || !strings.Contains(leg.SDP, "m=video 5006") || !strings.Contains(leg.SDP, "a=rtcp-unicast:reflection") {
			t.Errorf("%s", leg.SDP)
		}
		o := p.opened[len(p.opened)-1]
		if o.Group == nil || o.Group.TTL != 9 || !o.Group.Source || o.Group.Feedback != "reflection" || o.Latch {
			t.Errorf("%+v", o)
		}
		s, err := h.f.Inspect(context.Background(), "standup", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Participants {
			if x.Name == "Hall" && x.Role != api.RoleObserver {
				t.Errorf("%+v", x)
			}
		}
	})
}
