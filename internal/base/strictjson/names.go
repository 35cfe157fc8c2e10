package strictjson

import (
	"bytes"
	"encoding/json"
	"strings"
)

// fewNames is up to where comparing each with each beats a map.
const fewNames = 12

// names remembers the names of one object. Compared after unescaping and
// without regard to case, because encoding/json matches struct fields so: to
// it "from" and "From" are one member.
type names struct {
	few  [fewNames]string
	n    int
	many map[string]struct{}
}

func (n *names) add(quoted []byte) error {
	name, err := fold(quoted)
	if err != nil {
		return err
	}
	if n.many == nil && n.n < fewNames {
		for _, have := range n.few[:n.n] {
			if have == name {
				return ErrDuplicate
			}
		}
		n.few[n.n] = name
		n.n++
		return nil
	}
	if n.many == nil {
		n.many = make(map[string]struct{}, 4*fewNames)
		for _, have := range n.few {
			n.many[have] = struct{}{}
		}
	}
	if _, twice := n.many[name]; twice {
		return ErrDuplicate
	}
	if len(n.many) >= maxNames {
		return ErrNames
	}
	n.many[name] = struct{}{}
	return nil
}

// fold returns the name a reader would compare. Simple folding as encoding/json
// does it also equates U+017F with s and U+212A with k.
func fold(quoted []byte) (string, error) {
	name := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 {
		if err := json.Unmarshal(quoted, &name); err != nil {
			return "", ErrSyntax
		}
	}
	return strings.ToLower(strings.ToUpper(name)), nil
}
