package control

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/api"
)

// maxDepth bounds nesting of parameters; the deepest of ours has four levels.
const maxDepth = 16

// decodeParams reads one JSON object. Empty parameters are an empty object.
// A key given twice, also in another case, is refused: readers differ in which
// one they believe, and identity must not hang on that (line A17).
func decodeParams(raw json.RawMessage, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if why := walk(d, 0); why != "" {
		return errBadParams(why)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errBadParams("parameters have the wrong shape")
	}
	return nil
}

// walk reads one value and tells what is wrong with it, or "".
func walk(d *json.Decoder, depth int) string {
	tok, err := d.Token()
	if err != nil {
		return "parameters are not JSON"
	}
	if depth > maxDepth {
		return "parameters are nested too deep"
	}
	switch tok {
	case json.Delim('{'):
		return walkObject(d, depth)
	case json.Delim('['):
		for d.More() {
			if why := walk(d, depth+1); why != "" {
				return why
			}
		}
		return closing(d)
	}
	return ""
}

func walkObject(d *json.Decoder, depth int) string {
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return "parameters are not JSON"
		}
		if depth == 0 { // maps below the top have keys of the client's own, in any case
			key = strings.ToLower(key)
		}
		if seen[key] {
			return "a key is given twice"
		}
		seen[key] = true
		if why := walk(d, depth+1); why != "" {
			return why
		}
	}
	return closing(d)
}

func closing(d *json.Decoder) string {
	if _, err := d.Token(); err != nil {
		return "parameters are not JSON"
	}
	return ""
}

// Sizes of what a client may name; none needs more, and each is stored and
// sent to everyone.
const (
	maxName  = 128 // bytes of a display name or label
	maxToken = 128 // bytes of a cid, load or stream id
	maxRIDs  = 4   // simulcast encodings
	maxTitle = 256
	maxWhy   = 256
)

// validToken reports whether s may be a client's cid, load or msid stream id:
// printable ASCII without space (Firefox writes "{uuid}").
func validToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// validText reports whether s is at most limit bytes of text without controls.
func validText(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// done is the result of a command with nothing to tell.
func done() api.Done { return api.Done{} }

// already is the result of a removal or setting that was so before.
func already() api.Done { return api.Done{Already: true} }
