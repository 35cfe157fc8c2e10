package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
	"parley/internal/transport/ice"
)

// wsClient is a subscriber's signalling over the WebSocket. A connection that
// is lost is made again and the session resumed; the media never hears of it.
type wsClient struct {
	r      *runner
	cancel context.CancelFunc
	needed chan api.MediaNeeded
	seq    uint64 // of the last numbered frame; the reader's

	mu      sync.Mutex // guards what follows
	conn    *websocket.Conn
	resume  api.Resume
	waiting map[string]asked
	lost    time.Time     // when the connection was cut
	back    time.Duration // from then to the welcome; 0: not yet
}

// asked is a request without its final answer; what was cut off is sent again.
type asked struct {
	req *api.Request
	ch  chan *api.Response
}

// frame is any server frame, as far as this client looks.
type frame struct {
	Kind  string          `json:"kind"`
	Seq   uint64          `json:"seq"`
	T     json.RawMessage `json:"t"`
	Event string          `json:"event"`
	Body  json.RawMessage `json:"body"`
	Code  int             `json:"code"`
}

// dialAttempts bounds how often one subscriber knocks.
const dialAttempts = 5

// dialWS opens a session. A server that is full says when to come again, each
// client another time.
func (r *runner) dialWS(ctx context.Context) (*wsClient, error) {
	for attempt := 1; ; attempt++ {
		c, again, err := r.dialOnce(ctx)
		if err == nil || attempt == dialAttempts || again < 0 {
			return c, err
		}
		t := time.NewTimer(max(again, Backoff(attempt, rand.Float64())))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, err
		case <-t.C:
		}
	}
}

// dialOnce makes one attempt; again is what the server asks to be waited,
// negative when there is no point in trying again.
func (r *runner) dialOnce(ctx context.Context) (c *wsClient, again time.Duration, err error) {
	conn, w, again, err := r.hello(ctx, nil)
	if err != nil {
		return nil, again, err
	}
	run, cancel := context.WithCancel(r.ctx)
	c = &wsClient{r: r, conn: conn, cancel: cancel, waiting: map[string]asked{}, needed: make(chan api.MediaNeeded, 16)}
	c.resume = api.Resume{Session: w.Session, Token: w.ResumeToken}
	r.group.Go(func() { c.live(run) })
	return c, 0, nil
}

// hello opens a connection and a session on it, or goes on with an old one.
func (r *runner) hello(ctx context.Context, old *api.Resume) (conn *websocket.Conn, w *api.Welcome, again time.Duration, err error) {
	url := "ws" + strings.TrimPrefix(strings.TrimSuffix(r.cfg.URL, "/"), "http") + "/ws"
	conn, _, err = websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{api.Subprotocol}, HTTPClient: r.dialer.sockets})
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			_ = conn.CloseNow()
		}
	}()
	conn.SetReadLimit(1 << 20)
	hello := api.Hello{Kind: "hello", Versions: []int{1}, Client: &api.Client{Name: "parley-load"}, Auth: &api.Auth{Token: r.cfg.Token, Name: "load"}, Resume: old}
	if err := send(ctx, conn, hello); err != nil {
		return nil, nil, 0, err
	}
	_, b, err := conn.Read(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	var f struct {
		api.Welcome
		Error *api.Error
	}
	if json.Unmarshal(b, &f) != nil || f.Kind != "welcome" {
		again = -1
		if f.Error != nil && (f.Error.Code == 503 || f.Error.Code == 429) {
			again = time.Duration(f.Error.RetryAfterMs) * time.Millisecond
		}
		return nil, nil, again, fmt.Errorf("no welcome: %.200s", b)
	}
	return conn, &f.Welcome, 0, nil
}

func send(ctx context.Context, conn *websocket.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, b)
}

// live reads, and comes back whenever the connection is lost, until ctx ends or
// the server does not know the session any more.
func (c *wsClient) live(ctx context.Context) {
	for {
		if c.read(ctx); ctx.Err() != nil {
			return
		}
		for attempt := 0; ; attempt++ {
			if !sleep(ctx, Backoff(attempt, rand.Float64())) {
				return
			}
			again, err := c.comeBack(ctx)
			if err == nil {
				break
			}
			if again < 0 {
				c.r.fail(fmt.Errorf("resume: %w", err))
				return
			}
			if !sleep(ctx, again) {
				return
			}
		}
	}
}

// comeBack resumes the session on a new connection and says again what has no
// answer yet.
func (c *wsClient) comeBack(ctx context.Context) (again time.Duration, err error) {
	step, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	c.mu.Lock()
	old := c.resume
	c.mu.Unlock()
	old.LastSeq = c.seq
	conn, w, again, err := c.r.hello(step, &old)
	if err != nil {
		return again, err
	}
	c.mu.Lock()
	c.conn, c.resume = conn, api.Resume{Session: w.Session, Token: w.ResumeToken}
	if !c.lost.IsZero() {
		c.back = time.Since(c.lost)
	}
	var open []*api.Request
	for _, a := range c.waiting {
		open = append(open, a.req)
	}
	c.mu.Unlock()
	for _, req := range open {
		_ = send(step, conn, req) // a connection lost anew is the reader's to notice
	}
	return 0, nil
}

// cut resets the connection: it goes without a word to either end's program.
func (c *wsClient) cut() {
	c.mu.Lock()
	c.lost, c.back = time.Now(), 0
	conn := c.conn
	c.mu.Unlock()
	_ = conn.CloseNow() // with SO_LINGER 0, see newDialer
}

func (c *wsClient) socket() *websocket.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// read handles frames until the connection ends.
func (c *wsClient) read(ctx context.Context) {
	conn := c.socket()
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var f frame
		if json.Unmarshal(b, &f) != nil {
			continue
		}
		c.seq = max(c.seq, f.Seq)
		switch f.Kind {
		case "ping":
			_ = send(ctx, conn, map[string]any{"kind": "pong", "t": f.T})
		case "response":
			c.answered(b)
		case "notify":
			var n api.MediaNeeded
			if f.Event == "media.needed" && json.Unmarshal(f.Body, &n) == nil {
				select {
				case c.needed <- n:
				default: // the next one says the same and more
				}
			}
		}
	}
}

func (c *wsClient) answered(b []byte) {
	var res api.Response
	if json.Unmarshal(b, &res) != nil || !res.Final {
		return
	}
	c.mu.Lock()
	a := c.waiting[res.ID]
	delete(c.waiting, res.ID)
	c.mu.Unlock()
	if a.ch != nil {
		a.ch <- &res
	}
}

// request runs one command and decodes its result.
func (c *wsClient) request(ctx context.Context, method, conf string, params, result any) error {
	p, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req := api.Request{Kind: "request", ID: ids.NewSecret().Reveal()[:20], Method: method, Conf: conf, Params: p}
	ch := make(chan *api.Response, 1)
	c.mu.Lock()
	c.waiting[req.ID] = asked{&req, ch}
	conn := c.conn
	c.mu.Unlock()
	_ = send(ctx, conn, req) // cut off, it is said again after the resume
	select {
	case <-ctx.Done():
		return ctx.Err()
	case res := <-ch:
		if res.Error != nil {
			return fmt.Errorf("%s: %d %s %s", method, res.Error.Code, res.Error.Reason, res.Error.Message)
		}
		return json.Unmarshal(res.Result, result)
	}
}

// subscribeWS joins over the WebSocket and offers as the server asks.
func (r *runner) subscribeWS(ctx context.Context, n int) (*subscriber, error) {
	s := &subscriber{ssrc: ids.Random32(), streams: map[uint32]*inStream{}}
	s.asked = r.clock.Now()
	c, err := r.dialWS(ctx)
	if err != nil {
		return nil, err
	}
	s.ws = c
	var joined api.JoinResult
	err = c.request(ctx, api.ConferenceJoin, r.cfg.room(n, r.cfg.Subscribers), api.JoinParams{
		Device: fmt.Sprintf("load-%s", ids.NewSecret().Reveal()[:12]), Load: "1", Name: fmt.Sprintf("Load %d", n), Kind: "bot",
	}, &joined)
	if err != nil {
		return nil, err
	}
	neg := &negotiation{r: r, s: s, conf: joined.Conf, ms: joined.MS, creds: ice.NewCreds(), prev: sdp.NewSession(uint64(ids.Random32()), "")}
	if err := neg.offer(ctx, joined.Needed); err != nil {
		return nil, err
	}
	if err := r.connect(ctx, s.peer); err != nil {
		return nil, err
	}
	r.group.Go(func() { neg.follow(r.ctx) })
	return s, nil
}

// negotiation is the offer/answer history of one WebSocket subscriber.
type negotiation struct {
	r        *runner
	s        *subscriber
	conf, ms string
	rev      uint32
	creds    ice.Creds
	prev     sdp.Session
	audio    int
	video    int
	sections []sdp.OfferSection
}

func (g *negotiation) offer(ctx context.Context, need api.MediaNeeded) error {
	for ; g.audio < need.Audio; g.audio++ {
		g.sections = append(g.sections, sdp.OfferSection{Kind: plane.Audio, Receive: true})
	}
	for ; g.video < need.Video; g.video++ {
		g.sections = append(g.sections, sdp.OfferSection{Kind: plane.Video, Receive: true})
	}
	if g.s.peer == nil && g.r.cfg.Data {
		g.sections = append(g.sections, sdp.OfferSection{Kind: plane.Application})
	}
	if len(g.sections) == 0 { // nobody publishes yet: a section to carry the transport
		g.sections, g.audio = append(g.sections, sdp.OfferSection{Kind: plane.Audio, Receive: true}), 1
	}
	o, err := g.r.dialer.write(g.prev, g.creds, g.sections)
	if err != nil {
		return err
	}
	var res api.AnswerResult
	if err := g.s.ws.request(ctx, api.MediaOffer, g.conf, api.OfferParams{MS: g.ms, Rev: g.rev + 1, SDP: o.offer.SDP}, &res); err != nil {
		return err
	}
	a, err := sdp.ParseAnswer(o.offer, []byte(res.SDP))
	if err != nil {
		return err
	}
	g.rev, g.prev = res.Rev, o.offer.Session
	g.s.took(g.r, a.Media)
	if g.s.peer == nil {
		g.s.peer, err = g.r.dialer.dial(o, a, g.r.receiving(g.s))
	}
	return err
}

// follow offers again whenever the server needs other sections.
func (g *negotiation) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case need := <-g.s.ws.needed:
			step, cancel := context.WithTimeout(ctx, 15*time.Second)
			err := g.offer(step, need)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				g.r.fail(err)
			}
		}
	}
}
