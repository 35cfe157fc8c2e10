package ws

import (
	"encoding/json"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/strictjson"
)

// envelope is what every frame has.
type envelope struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func badRequest(why string) *fault.Error { return fault.New(400, "bad-request", "%s", why) }

// decodeHello reads the first frame.
func decodeHello(b []byte) (*api.Hello, *fault.Error) {
	var h api.Hello
	if e := decode(b, &h); e != nil {
		return nil, e
	}
	if h.Kind != "hello" {
		return nil, badRequest("The first frame must be hello")
	}
	return &h, nil
}

// decode reads JSON that has one meaning only.
func decode(b []byte, v any) *fault.Error {
	if err := strictjson.Check(b); err != nil {
		return badRequest(err.Error())
	}
	return unmarshal(b, v)
}

// unmarshal is decode for what was checked before. The library's error would
// quote the client's bytes.
func unmarshal(b []byte, v any) *fault.Error {
	if json.Unmarshal(b, v) != nil {
		return badRequest("A member has the wrong type")
	}
	return nil
}

// kinds are the frames a client may send after hello.
var kinds = map[string]func(*conn, []byte) *fault.Error{
	"request": func(c *conn, b []byte) *fault.Error {
		r := new(api.Request)
		if e := unmarshal(b, r); e != nil {
			return e
		}
		c.s.Request(c, r)
		return nil
	},
	"subscribe": func(c *conn, b []byte) *fault.Error {
		s := new(api.Subscribe)
		if e := unmarshal(b, s); e != nil {
			return e
		}
		c.s.Subscribe(c, s)
		return nil
	},
	"message": func(c *conn, b []byte) *fault.Error {
		m := new(api.Message)
		if e := unmarshal(b, m); e != nil {
			return e
		}
		c.s.Message(c, m)
		return nil
	},
	"ack": func(c *conn, b []byte) *fault.Error {
		a := new(api.Ack)
		if e := unmarshal(b, a); e != nil {
			return e
		}
		c.s.Ack(c, a)
		return nil
	},
	"ping": func(c *conn, b []byte) *fault.Error {
		p := new(api.Ping)
		if e := unmarshal(b, p); e != nil {
			return e
		}
		c.s.Ping(c, p)
		return nil
	},
	"pong": func(c *conn, b []byte) *fault.Error {
		p := new(api.Ping)
		if e := unmarshal(b, p); e != nil {
			return e
		}
		c.s.Pong(c, p)
		return nil
	},
	"goodbye": func(c *conn, _ []byte) *fault.Error {
		c.s.Goodbye(c)
		return nil
	},
	// The server sends no requests in this version; an answer to one is late
	// or mistaken, and harmless.
	"response": func(c *conn, b []byte) *fault.Error {
		a := new(api.Ack)
		if e := unmarshal(b, a); e != nil {
			return e
		}
		c.s.Ack(c, a)
		return nil
	},
}

// dispatch hands a frame to its kind. The id is for the refusal.
func (c *conn) dispatch(b []byte) (id string, e *fault.Error) {
	var env envelope
	if e := decode(b, &env); e != nil {
		return "", e
	}
	if len(env.ID) > 64 {
		env.ID = ""
	}
	handle, ok := kinds[env.Kind]
	if !ok {
		return env.ID, badRequest("Unknown kind")
	}
	return env.ID, handle(c, b)
}
