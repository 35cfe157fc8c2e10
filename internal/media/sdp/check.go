package sdp

import (
	"strings"

	"parley/internal/media/plane"
)

// hashLen is the accepted hash functions of a=fingerprint and their length in
// bytes, strongest last (RFC 8122, section 5 forbids MD2 and MD5; SHA-1 is too
// weak to hold a certificate).
var hashLen = map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}

// readFingerprint reads "hash HEX:HEX…". Unknown hashes are skipped, so that a
// client may list more than we know (RFC 8122, section 5.1); two values of one
// hash are refused, since they would be two certificates.
func readFingerprint(b *builder, v string) error {
	hash, value, _ := strings.Cut(strings.TrimSpace(v), " ")
	hash, value = strings.ToLower(hash), strings.ToUpper(strings.TrimSpace(value))
	n, known := hashLen[hash]
	if !known {
		return nil
	}
	if !hexPairs(value, n) {
		return bad("fingerprint is not %d bytes of hex with colons", n)
	}
	if !b.ownPrints { // a section's own lines replace the session's
		b.Prints, b.ownPrints = nil, true
	}
	for _, p := range b.Prints {
		if p.Hash == hash {
			return bad("two fingerprints of hash %s", hash)
		}
	}
	b.Prints = append(b.Prints, plane.Fingerprint{Hash: hash, Value: value})
	return nil
}

func hexPairs(s string, n int) bool {
	if len(s) != 3*n-1 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if i%3 == 2 {
			if c != ':' {
				return false
			}
		} else if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// check holds the rules that need the whole description.
func (d *Description) check() error {
	if err := d.checkMIDs(); err != nil {
		return err
	}
	active := false
	for i := range d.Sections {
		s := &d.Sections[i]
		if s.Rejected || s.Kind == 0 {
			continue
		}
		active = true
		if err := s.check(); err != nil {
			return err
		}
	}
	if !active {
		return nil // every section stopped: lawful in a later offer
	}
	return d.checkTransport()
}

func (d *Description) checkMIDs() error {
	seen := make(map[string]int, len(d.Sections))
	for i := range d.Sections {
		s := &d.Sections[i]
		if s.MID == "" {
			continue
		}
		if _, dup := seen[s.MID]; dup {
			return bad("mid %s twice", quote(s.MID))
		}
		seen[s.MID] = i
	}
	grouped := make(map[string]bool, len(d.Bundle))
	for _, mid := range d.Bundle {
		i, ok := seen[mid]
		if !ok {
			return bad("BUNDLE group names unknown mid %s", quote(mid))
		}
		if grouped[mid] {
			return bad("BUNDLE group names mid %s twice", quote(mid))
		}
		grouped[mid] = true
		d.Sections[i].Bundled = true
	}
	return nil
}

func (s *Section) check() error {
	if s.MID == "" {
		return bad("%s section without mid", s.Kind)
	}
	if s.Kind == plane.Application {
		if !s.SCTPMap && s.SCTPPort == 0 {
			return bad("sctp-port 0 in section %s", quote(s.MID))
		}
		return nil
	}
	if !s.RTCPMux {
		return unacceptable("section %s without rtcp-mux", quote(s.MID))
	}
	declared := map[string]bool{}
	for _, r := range s.RIDs {
		if r.Send {
			declared[r.ID] = true
		}
	}
	listed := map[string]bool{}
	for _, r := range s.Simulcast {
		if !declared[r] {
			return bad("simulcast names rid %s which is not declared", quote(r))
		}
		if listed[r] {
			return bad("simulcast names rid %s twice", quote(r))
		}
		listed[r] = true
	}
	return nil
}

// checkTransport asks for what the one shared transport needs. Sections that
// are not the tagged one may leave transport attributes out (RFC 9143, section 7.1.3).
func (d *Description) checkTransport() error {
	if len(d.Bundle) == 0 {
		return unacceptable("no BUNDLE group")
	}
	s := d.tagged()
	switch {
	case s == nil:
		return unacceptable("no section of the BUNDLE group is usable")
	case s.ICE.Ufrag == "":
		return bad("section %s without ice-ufrag", quote(s.MID))
	case s.ICE.Pwd == "":
		return bad("section %s without ice-pwd", quote(s.MID))
	case len(s.Prints) == 0:
		return bad("section %s without fingerprint of a known hash", quote(s.MID))
	}
	return nil
}
