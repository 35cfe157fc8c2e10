package focus

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/policy"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a focus on virtual time with clients in it.
type house struct {
	t     *testing.T
	f     *Focus
	plane *fakePlane
}

// inHouse runs a test in a bubble where time passes only when all wait.
func inHouse(t *testing.T, change func(*Config), run func(*house)) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePlane()
		pol := policy.Default()
		pol.Dev = true
		cfg := Config{Plane: p, Clock: clock.NewSystem(), Policy: pol}
		if change != nil {
			change(&cfg)
		}
		h := &house{t: t, f: New(cfg), plane: p}
		defer h.leave()
		run(h)
	})
}

// leave shuts the focus down and looks at what is left.
func (h *house) leave() {
	t, p := h.t, h.plane
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.f.Shutdown(ctx, "shutdown"); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for _, w := range p.wrong {
		t.Errorf("contract of the media side: %s", w)
	}
	if l, k, s := p.counts(); l+k+s != 0 {
		t.Errorf("after shutdown %d links, %d tracks, %d subscriptions are left", l, k, s)
	}
}

// client is one signalling session with one peer connection.
type client struct {
	h       *house
	caller  control.Caller
	conf    string // empty: standup
	join    api.JoinResult
	sdp     sdp.Session
	local   plane.Local
	lines   []sdp.OfferSection
	cids    map[string]string
	rev     uint32
	nextID  int
	answers []string // descriptions, as they came

	mu    sync.Mutex
	heard []string // frames in order: "response join 200", "event x", "document full 1"
	notes []*api.Notify
	bye   []api.Goodbye
	doc   info.Subscriber
}

func (h *house) client(name, dialect string) *client {
	c := &client{h: h, cids: map[string]string{}, sdp: sdp.NewSession(1, "client")}
	c.caller = control.Caller{
		Session: ids.NewSession(), Dialect: dialect, Addr: netip.MustParseAddr("192.0.2.9"),
		By: control.Principal{Subject: name, Name: name},
	}
	c.newPeer(name)
	h.f.Attach(c.caller, c)
	return c
}

// newPeer is what a browser does with a new RTCPeerConnection.
func (c *client) newPeer(seed string) {
	sum := sha256.Sum256([]byte(seed))
	hex := fmt.Sprintf("%02X:%02X:", sum[0], sum[1])
	c.local = plane.Local{
		ICE:         plane.ICECreds{Ufrag: fmt.Sprintf("cl%x", sum[:4]), Pwd: "abcdefghijklmnopqrstuvwx"},
		Fingerprint: plane.Fingerprint{Hash: "sha-256", Value: strings.TrimSuffix(strings.Repeat(hex, 16), ":")},
	}
	c.sdp, c.lines = sdp.NewSession(1, "client"), nil
}

func (c *client) Notify(n *api.Notify) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, n)
	if n.Event != "" {
		c.heard = append(c.heard, "event "+n.Event)
		return
	}
	if n.Package != pkgConference {
		c.heard = append(c.heard, n.Package+" "+n.State)
		return
	}
	c.heard = append(c.heard, fmt.Sprintf("document %s %d", n.State, n.Version))
	var d info.Document
	if err := json.Unmarshal(n.Body, &d); err != nil {
		c.h.t.Errorf("document: %v", err)
		return
	}
	if d.Version != n.Version {
		c.h.t.Errorf("version %d in the body, %d in the envelope", d.Version, n.Version)
	}
	if v := c.doc.Accept(&d); v != info.Accepted && v != info.Over {
		c.h.t.Errorf("document %d not accepted: %d", n.Version, v)
	}
}

func (c *client) Message(*api.Message) {}

func (c *client) Goodbye(g api.Goodbye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bye = append(c.bye, g)
}

// start sends a request and does not wait.
func (c *client) start(method string, params any) *api.Response {
	b, err := json.Marshal(params)
	if err != nil {
		c.h.t.Fatal(err)
	}
	c.nextID++
	req := &api.Request{Kind: "request", ID: fmt.Sprint(c.nextID), Method: method, Conf: cmp.Or(c.conf, "standup"), Params: b}
	out := new(api.Response)
	c.h.f.Do(c.caller, req, func(r *api.Response) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if out.Final {
			c.h.t.Errorf("%s answered twice", method)
		}
		*out = *r
		c.heard = append(c.heard, fmt.Sprintf("response %s %d", method, r.Code))
	})
	return out
}

// ask sends a request and waits for its answer.
func (c *client) ask(method string, params any) *api.Response {
	c.h.t.Helper()
	r := c.start(method, params)
	synctest.Wait()
	if !r.Final || r.ID != fmt.Sprint(c.nextID) {
		c.h.t.Fatalf("%s: no final answer: %+v", method, r)
	}
	return r
}

func (c *client) must(method string, params, result any) {
	c.h.t.Helper()
	r := c.ask(method, params)
	if r.Code != 200 {
		c.h.t.Fatalf("%s: %d %+v", method, r.Code, r.Error)
	}
	if result != nil {
		if err := json.Unmarshal(r.Result, result); err != nil {
			c.h.t.Fatal(err)
		}
	}
}

func (c *client) refused(code int, reason, method string, params any) {
	c.h.t.Helper()
	r := c.ask(method, params)
	if r.Code != code || r.Error == nil || r.Error.Reason != reason {
		c.h.t.Errorf("%s: got %d %+v, want %d %s", method, r.Code, r.Error, code, reason)
	}
}

func (c *client) joins(p api.JoinParams) {
	c.h.t.Helper()
	if p.Device == "" {
		p.Device = "laptop"
	}
	c.join = api.JoinResult{}
	c.must(api.ConferenceJoin, p, &c.join)
	c.rev = 0
}

func (c *client) watches() {
	c.h.t.Helper()
	var got *api.Response
	c.h.f.Subscribe(c.caller, &api.Subscribe{ID: "s", Conf: "standup", Package: "conference"}, func(r *api.Response) {
		got = r
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard = append(c.heard, "response subscribe")
	})
	synctest.Wait()
	if got == nil || got.Code != 200 {
		c.h.t.Fatalf("subscribe: %+v", got)
	}
}

// sends adds a sending section for a published cid.
func (c *client) sends(kind plane.Kind, cid string, rids ...string) {
	mid := fmt.Sprint(len(c.lines))
	c.cids[mid] = cid
	c.lines = append(c.lines, sdp.OfferSection{
		MID: mid, Kind: kind, RIDs: rids,
		Send: &sdp.SendSource{SSRC: uint32(1000 + len(c.lines)), RTXSSRC: uint32(2000 + len(c.lines)), Stream: "s", Track: cid, CNAME: "client"},
	})
}

// receives adds receiving sections until there are as many as wanted.
func (c *client) receives(audio, video int) {
	want := map[plane.Kind]int{plane.Audio: audio, plane.Video: video}
	for i := range c.lines {
		if c.lines[i].Receive {
			want[c.lines[i].Kind]--
		}
	}
	for _, k := range []plane.Kind{plane.Audio, plane.Video} {
		for ; want[k] > 0; want[k]-- {
			c.lines = append(c.lines, sdp.OfferSection{MID: fmt.Sprint(len(c.lines)), Kind: k, Receive: true})
		}
	}
}

func (c *client) offer() *sdp.Offer {
	c.h.t.Helper()
	o, err := sdp.NewOffer(c.sdp, sdp.OfferConfig{Local: c.local, Sections: c.lines})
	if err != nil {
		c.h.t.Fatal(err)
	}
	return o
}

func (c *client) params(o *sdp.Offer) api.OfferParams {
	return api.OfferParams{MS: c.join.MS, Rev: c.rev + 1, SDP: o.SDP, Tracks: c.cids}
}

// negotiates makes an offer of the lines and takes the answer.
func (c *client) negotiates() (api.AnswerResult, *sdp.Accepted) {
	c.h.t.Helper()
	o := c.offer()
	var a api.AnswerResult
	c.must(api.MediaOffer, c.params(o), &a)
	return a, c.takes(o, a)
}

func (c *client) takes(o *sdp.Offer, a api.AnswerResult) *sdp.Accepted {
	c.h.t.Helper()
	acc, err := sdp.ParseAnswer(o, []byte(a.SDP))
	if err != nil {
		c.h.t.Fatal(err)
	}
	c.sdp, c.rev = acc.Session, a.Rev
	c.answers = append(c.answers, a.SDP)
	return acc
}

// needed returns the media.needed events so far.
func (c *client) needed() []api.MediaNeeded {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []api.MediaNeeded
	for _, n := range c.notes {
		if n.Event == "media.needed" {
			var m api.MediaNeeded
			if err := json.Unmarshal(n.Body, &m); err != nil {
				c.h.t.Error(err)
			}
			out = append(out, m)
		}
	}
	return out
}

func (c *client) events(name string) (out []map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.notes {
		if n.Event == name {
			var m map[string]any
			if err := json.Unmarshal(n.Body, &m); err != nil {
				c.h.t.Error(err)
			}
			out = append(out, m)
		}
	}
	return out
}

func (c *client) frames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.heard...)
}

func (c *client) conn() ids.Connection {
	c.h.plane.mu.Lock()
	defer c.h.plane.mu.Unlock()
	for id, o := range c.h.plane.links {
		if o.Fingerprints[0] == c.local.Fingerprint {
			return id
		}
	}
	c.h.t.Fatal("no link")
	return ""
}

func (h *house) media(e plane.Event) {
	h.f.mu.RLock()
	r := h.f.byURI["standup"]
	h.f.mu.RUnlock()
	e.Conf = r.id
	h.f.HandleMedia(e)
	synctest.Wait()
}

func pass(d time.Duration) {
	time.Sleep(d) // virtual time of the bubble
	synctest.Wait()
}

func mic() api.PublishParams {
	return api.PublishParams{CID: "mic", Kind: "audio", Source: "microphone"}
}

func cam() api.PublishParams {
	return api.PublishParams{CID: "cam", Kind: "video", Source: "camera"}
}
