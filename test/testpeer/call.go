package testpeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/pion/rtp"

	"parley/api"
)

// CallOptions of a [Call].
type CallOptions struct {
	URL   string // of the server
	Token string
	Conf  string // URI of the conference
	Name  string
	// AudioFile is an Ogg file that is sent over and over.
	AudioFile string
	// OnRTP sees every received packet from the first.
	OnRTP func(*Received, *rtp.Packet)
}

// Call is a peer that talks and listens: in a conference by the signalling
// protocol, with one transport for a section that sends and one that receives.
type Call struct {
	*Peer
	Joined api.JoinResult

	ws   *websocket.Conn
	read chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows
	next    int
	waiting map[string]chan *api.Response
	gone    error
}

// Join brings a peer into a conference and returns when the answer is applied.
func Join(ctx context.Context, opt CallOptions) (*Call, error) {
	p, err := New()
	if err != nil {
		return nil, err
	}
	p.OnRTP(opt.OnRTP)
	c := &Call{Peer: p, read: make(chan struct{}), waiting: map[string]chan *api.Response{}}
	if err = c.hello(ctx, opt); err == nil {
		err = c.join(ctx, opt)
	}
	if err != nil {
		return nil, errors.Join(err, c.Leave())
	}
	return c, nil
}

// hello opens the session and starts the reader.
func (c *Call) hello(ctx context.Context, opt CallOptions) error {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(opt.URL, "http")+"/ws", &websocket.DialOptions{Subprotocols: []string{api.Subprotocol}})
	if err != nil {
		return err
	}
	conn.SetReadLimit(1 << 20)
	c.ws = conn
	go c.reader()
	return c.write(ctx, api.Hello{Kind: "hello", Versions: []int{1}, Auth: &api.Auth{Token: opt.Token, Name: opt.Name}})
}

// join offers both sections at once.
func (c *Call) join(ctx context.Context, opt CallOptions) error {
	if err := errors.Join(c.Send(Script{AudioFile: opt.AudioFile}), c.Receive(1, 0)); err != nil {
		return err
	}
	offer, err := c.offer(ctx)
	if err != nil {
		return err
	}
	mid := c.pc.GetTransceivers()[0].Mid() // the first that was added: what is sent
	err = c.Request(ctx, api.ConferenceJoin, opt.Conf, api.JoinParams{
		Device: "testpeer-" + opt.Name, Load: "1", Name: opt.Name,
		Tracks: []api.PublishParams{{CID: "mic", Kind: "audio", Source: "microphone"}},
		Offer:  &api.OfferParams{SDP: offer, Rev: 1, Tracks: map[string]string{mid: "mic"}},
	}, &c.Joined)
	if err != nil {
		return err
	}
	if c.Joined.Answer == nil {
		return errors.New("testpeer: joined without an answer")
	}
	return c.answered(c.Joined.Answer.SDP)
}

// reader handles frames until the connection ends.
func (c *Call) reader() {
	defer close(c.read)
	for {
		_, b, err := c.ws.Read(c.running)
		if err != nil {
			c.lose(err)
			return
		}
		var f struct {
			Kind string
			T    json.RawMessage
		}
		if json.Unmarshal(b, &f) != nil {
			continue
		}
		switch f.Kind {
		case "ping":
			_ = c.write(c.running, map[string]any{"kind": "pong", "t": f.T})
		case "response":
			var res api.Response
			if json.Unmarshal(b, &res) == nil && res.Final {
				c.settle(&res)
			}
		}
	}
}

func (c *Call) settle(res *api.Response) {
	c.mu.Lock()
	ch := c.waiting[res.ID]
	delete(c.waiting, res.ID)
	c.mu.Unlock()
	if ch != nil {
		ch <- res
	}
}

func (c *Call) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = err
	for id, ch := range c.waiting {
		delete(c.waiting, id)
		close(ch)
	}
}

func (c *Call) write(ctx context.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.ws.Write(ctx, websocket.MessageText, b)
}

// Request runs one command to its final response; result may be nil.
func (c *Call) Request(ctx context.Context, method, conf string, params, result any) error {
	p, err := json.Marshal(params)
	if err != nil {
		return err
	}
	ch := make(chan *api.Response, 1)
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return c.gone
	}
	c.next++
	id := strconv.Itoa(c.next)
	c.waiting[id] = ch
	c.mu.Unlock()
	if err := c.write(ctx, api.Request{Kind: "request", ID: id, Method: method, Conf: conf, Params: p}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case res := <-ch:
		switch {
		case res == nil:
			return fmt.Errorf("%s: the connection ended", method)
		case res.Error != nil:
			return fmt.Errorf("%s: %d %s %s", method, res.Error.Code, res.Error.Reason, res.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(res.Result, result)
	}
}

// Leave ends the call.
func (c *Call) Leave() error {
	err := c.Abandon()
	if c.ws != nil {
		_ = c.ws.CloseNow()
		<-c.read
	}
	return err
}
