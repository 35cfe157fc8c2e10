package sdp

import (
	"encoding/base64"
	"strconv"
	"strings"

	"parley/internal/base/ids"
)

// suites are the crypto suites we do, with the length of key and salt (RFC
// 4568, section 6.2; RFC 7714, section 14.3).
var suites = map[string]int{"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_128_GCM": 28}

// readPlainCrypto reads "tag suite inline:key[|lifetime] [parameters]" (RFC 4568,
// section 9.1). Lines we cannot do as they stand, with an MKI or session
// parameters that change the packets, are passed over: others may follow.
func readPlainCrypto(b *plainBuilder, v string) error {
	f := strings.Fields(v)
	if len(f) < 3 {
		return bad("crypto line is not <tag> <suite> <key>")
	}
	tag, err := strconv.ParseUint(f[0], 10, 30)
	if err != nil {
		return bad("crypto tag %s", quote(f[0]))
	}
	n, known := suites[f[1]]
	if !known || len(b.plain.Crypto) >= maxCryptos || !harmless(f[3:]) {
		return nil
	}
	material, ok := strings.CutPrefix(f[2], "inline:")
	if !ok {
		return bad("crypto key of tag %d is not inline", tag)
	}
	key, rest, _ := strings.Cut(material, "|")
	if strings.Contains(rest, ":") || strings.Contains(rest, ";") { // an MKI, or several keys
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(key)
	}
	if err != nil || len(raw) != n {
		return bad("crypto key of tag %d has not the length of its suite", tag)
	}
	b.plain.Crypto = append(b.plain.Crypto, Crypto{Tag: int(tag), Suite: f[1], Key: ids.Secret(raw)})
	return nil
}

// harmless reports whether the session parameters leave the packets as they are
// (RFC 4568, section 6.3).
func harmless(params []string) bool {
	for _, p := range params {
		if p != "KDR=0" && !strings.HasPrefix(p, "WSH=") {
			return false
		}
	}
	return true
}

// KeyLen returns how many random bytes a suite's own key needs, 0 if unknown.
func KeyLen(suite string) int { return suites[suite] }

func (c Crypto) line() string {
	return strconv.Itoa(c.Tag) + " " + c.Suite + " inline:" + base64.StdEncoding.EncodeToString([]byte(c.Key.Reveal()))
}
