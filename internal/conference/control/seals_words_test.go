package control_test

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Dialogues name keys, "key-of-ana", "id-of-ana" and "sig-of-ana", in the place
// of what goes over the wire.

var keyName = regexp.MustCompile(`\b(key|id|sig)-of-[a-z0-9]+`)

// spellKeys puts the bytes in: as many as such a thing has, made of its name.
func spellKeys(line string, seen map[string]string) string {
	return keyName.ReplaceAllStringFunc(line, func(name string) string {
		b := make([]byte, 65)
		if strings.HasPrefix(name, "sig-") {
			b = b[:64]
		}
		copy(b, name)
		s := base64.RawURLEncoding.EncodeToString(b)
		seen[s] = name
		return s
	})
}

// nameKeys puts the names back.
func nameKeys(text string, seen map[string]string) string {
	for s, name := range seen {
		text = strings.ReplaceAll(text, s, name)
	}
	return text
}
