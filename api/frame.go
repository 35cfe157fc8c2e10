package api

import (
	"encoding/json"
	"strconv"
)

// notifyHead is more than most notifications have beside the body.
const notifyHead = 192

// Frame writes a notification as encoding/json does, but for the body: that is
// JSON which was made once for many subscribers, and it is copied as it is. The
// package would read it through again for each of them.
func (n *Notify) Frame() []byte {
	b := make([]byte, 0, notifyHead+len(n.Body))
	b = append(b, `{"kind":`...)
	b = appendString(b, n.Kind)
	b = appendMember(b, "sub", n.Sub)
	b = appendMember(b, "conf", n.Conf)
	b = append(b, `,"package":`...)
	b = appendString(b, n.Package)
	b = appendMember(b, "state", n.State)
	if n.Version > 0 {
		b = strconv.AppendUint(append(b, `,"version":`...), uint64(n.Version), 10)
	}
	b = appendMember(b, "event", n.Event)
	if len(n.Body) > 0 {
		b = append(append(b, `,"body":`...), n.Body...)
	}
	if n.Seq > 0 {
		b = strconv.AppendUint(append(b, `,"seq":`...), n.Seq, 10)
	}
	return append(b, '}')
}

func appendMember(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendString(b, v)
}

// appendString writes a JSON string; names and tokens need no escaping.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, err := json.Marshal(s)
			if err != nil { // a string always can be
				panic(err)
			}
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
