package process

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"parley/api"
	"parley/test/harness"
)

// person is somebody on the WebSocket.
type person struct{ conn *websocket.Conn }

// enter says hello and, unless room is empty, joins it.
func enter(t *testing.T, s *harness.Server, room string) *person {
	t.Helper()
	ctx := within(t, patience)
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http")+"/ws", &websocket.DialOptions{
		Subprotocols: []string{api.Subprotocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	p := &person{conn}
	p.say(t, api.Hello{Kind: "hello", Versions: []int{1}, Auth: &api.Auth{Name: "Ana"}})
	if _, err := p.until(ctx, "welcome"); err != nil {
		t.Fatal(err)
	}
	if room == "" {
		return p
	}
	params, err := json.Marshal(api.JoinParams{Device: "laptop", Load: "1", Name: "Ana"})
	if err != nil {
		t.Fatal(err)
	}
	p.say(t, api.Request{Kind: "request", ID: "join-1", Method: api.ConferenceJoin, Conf: room, Params: params})
	b, err := p.until(ctx, "response")
	var res api.Response
	if err == nil {
		err = json.Unmarshal(b, &res)
	}
	if err != nil || res.Error != nil {
		t.Fatalf("join: %v, %s", err, b)
	}
	return p
}

func (p *person) say(t *testing.T, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = p.conn.Write(within(t, patience), websocket.MessageText, b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// until reads up to the next frame of a kind.
func (p *person) until(ctx context.Context, kind string) ([]byte, error) {
	for {
		_, b, err := p.conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		var f struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			return nil, fmt.Errorf("%w: %.200s", err, b)
		}
		if f.Kind == kind {
			return b, nil
		}
	}
}

// goodbye waits for the server's, and for the end of the connection after it.
func (p *person) goodbye(ctx context.Context) (bye api.Goodbye, err error) {
	b, err := p.until(ctx, "goodbye")
	if err != nil {
		return bye, err
	}
	if err := json.Unmarshal(b, &bye); err != nil {
		return bye, err
	}
	if _, err := p.until(ctx, "nothing more"); websocket.CloseStatus(err) == -1 {
		return bye, fmt.Errorf("not closed in order: %w", err)
	}
	return bye, nil
}
