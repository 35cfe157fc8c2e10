//go:build abuse && linux

package abusetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parley/api"
)

// socket is one signalling session. Its methods belong to one goroutine.
type socket struct {
	*websocket.Conn
	welcome api.Welcome
	next    int
}

// patience bounds every single exchange.
const patience = 20 * time.Second

// ws opens a session.
func (s *server) ws(t *testing.T, from netip.Addr, auth api.Auth) *socket {
	t.Helper()
	c, err := s.dialWS(from, auth)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func (s *server) dialWS(addr netip.Addr, auth api.Auth) (*socket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/ws", &websocket.DialOptions{
		Subprotocols: []string{api.Subprotocol}, HTTPClient: &http.Client{Transport: from(addr).Transport},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(4 << 20)
	c := &socket{Conn: conn}
	if err = c.send(api.Hello{Kind: "hello", Versions: []int{1}, Auth: &auth}); err == nil {
		err = c.until(func(kind string, b []byte) bool { return kind == "welcome" && json.Unmarshal(b, &c.welcome) == nil })
	}
	if err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	s.secret("resume token", c.welcome.ResumeToken)
	return c, nil
}

func (c *socket) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, b)
}

// until reads frames, answering pings, until f likes one.
func (c *socket) until(f func(kind string, b []byte) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, b, err := c.Read(ctx)
		if err != nil {
			return err
		}
		var k struct {
			Kind string
			T    json.RawMessage
		}
		if err := json.Unmarshal(b, &k); err != nil {
			return err
		}
		if k.Kind == "ping" {
			if err := c.send(map[string]any{"kind": "pong", "t": k.T}); err != nil {
				return err
			}
		}
		if f(k.Kind, b) {
			return nil
		}
	}
}

// request runs one command to its final response.
func (c *socket) request(method, conf string, params, result any) (*api.Response, error) {
	p, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	c.next++
	id := strconv.Itoa(c.next)
	if err := c.send(api.Request{Kind: "request", ID: id, Method: method, Conf: conf, Params: p}); err != nil {
		return nil, err
	}
	var res api.Response
	err = c.until(func(kind string, b []byte) bool {
		res = api.Response{}
		return kind == "response" && json.Unmarshal(b, &res) == nil && res.ID == id && res.Final
	})
	if err == nil && res.Error == nil && result != nil {
		err = json.Unmarshal(res.Result, result)
	}
	return &res, err
}

func (c *socket) mustRequest(t *testing.T, method, conf string, params, result any) {
	t.Helper()
	res, err := c.request(method, conf, params, result)
	if err == nil && res.Error != nil {
		err = fmt.Errorf("%d %s: %s", res.Code, res.Error.Reason, res.Error.Message)
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// joinWS joins a room, which is started if need be.
func (c *socket) joinWS(t *testing.T, room, device string) (joined api.JoinResult) {
	t.Helper()
	c.mustRequest(t, api.ConferenceStart, room, api.StartParams{Mode: "either"}, nil)
	c.mustRequest(t, api.ConferenceJoin, room, api.JoinParams{Device: device, Load: "1", Name: device, Kind: "bot", Subscribe: "none"}, &joined)
	return joined
}
