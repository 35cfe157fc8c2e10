package session

import (
	"encoding/json"

	"parley/api"
	"parley/internal/base/fault"
)

// checks are the limits on the contents of single methods that hold whatever
// the conference is. Whether a command is allowed is the focus's question.
var checks = map[string]func(*api.Limits, json.RawMessage) *fault.Error{
	api.MediaCandidate: checkCandidates,
}

// check refuses what no conference needs to see.
func (r *Registry) check(req *api.Request) *fault.Error {
	if req.Method == "" || len(req.Method) > 64 || len(req.Conf) > 256 {
		return badRequest("method or conf is missing or too long")
	}
	if f, ok := checks[req.Method]; ok {
		return f(&r.cfg.Limits, req.Params)
	}
	return nil
}

func checkCandidates(l *api.Limits, params json.RawMessage) *fault.Error {
	var p struct {
		Candidates []json.RawMessage `json:"candidates"`
	}
	if len(params) > 0 && json.Unmarshal(params, &p) != nil {
		return badRequest("params are not those of media.candidate")
	}
	if len(p.Candidates) > l.Candidates {
		return tooLarge("Too many candidates in one message")
	}
	return nil
}

// maxMessage bounds the params of a message without a limit of its own.
const (
	maxMessage  = 16 << 10
	maxPresence = 1 << 10
)

func (r *Registry) messageCap(method string) int {
	switch method {
	case "chat.send":
		return r.cfg.Limits.Chat
	case "presence.update":
		return maxPresence
	}
	return maxMessage
}
