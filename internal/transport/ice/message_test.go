package ice

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v4"

	"parley/internal/transport/sha1mac"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rfc5769Password = "VOkJxbRl1RmTxUk/WvJxBt"

// RFC 5769, section 2.1: a request with integrity and fingerprint.
func TestRFC5769_2_1_Request(t *testing.T) {
	b := unhex(t, `000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
		002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5
		b2d3f249c1b571a280280004e57a3bcf`)
	var m message
	if !m.parse(b) || m.typ != typeRequest || string(m.username) != "evtj:h6vY" || m.priority != 0x6e0001ff || !m.controlled {
		t.Fatalf("%+v", m)
	}
	if !m.printed(b) || !m.authentic(b, sha1mac.New([]byte(rfc5769Password))) {
		t.Fatal("not authentic")
	}
	if m.authentic(b, sha1mac.New([]byte("another"))) {
		t.Fatal("authentic under a wrong key")
	}
	if u, ok := PeekUfrag(b); !ok || string(u) != "evtj" {
		t.Fatalf("%q %v", u, ok)
	}
}

// RFC 5769, sections 2.2 and 2.3: responses.
func TestRFC5769_2_2_Responses(t *testing.T) {
	for want, s := range map[string]string{
		"192.0.2.1:32853": `0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
			002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96`,
		"[2001:db8:1234:5678:11:2233:4455:6677]:32853": `010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
			002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c`,
	} {
		b := unhex(t, s)
		var m message
		if !m.parse(b) || m.mapped != netip.MustParseAddrPort(want) {
			t.Fatalf("%s: %+v", want, m)
		}
		if !m.printed(b) || !m.authentic(b, sha1mac.New([]byte(rfc5769Password))) {
			t.Fatalf("%s: not authentic", want)
		}
	}
}

// stunRequest makes a check with pion/stun, the independent writer.
func stunRequest(t testing.TB, user, pwd string, more ...stun.Setter) []byte {
	t.Helper()
	set := []stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(user)}
	set = append(append(set, more...), stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	m, err := stun.Build(set...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

type rawAttr struct {
	typ stun.AttrType
	v   []byte
}

func (a rawAttr) AddTo(m *stun.Message) error { m.Add(a.typ, a.v); return nil }

var (
	useCandidate = rawAttr{stun.AttrUseCandidate, nil}
	controlling  = rawAttr{stun.AttrICEControlling, make([]byte, 8)}
	controlled   = rawAttr{stun.AttrICEControlled, make([]byte, 8)}
)

func priority(v uint32) rawAttr {
	return rawAttr{stun.AttrPriority, binary.BigEndian.AppendUint32(nil, v)}
}

// What we write pion reads, for both families.
func TestOracleReplies(t *testing.T) {
	key := sha1mac.New([]byte("password"))
	for _, addr := range []string{"192.0.2.7:1234", "[2001:db8::7]:65535", "[::ffff:192.0.2.7]:1"} {
		from := netip.MustParseAddrPort(addr)
		req := &message{tid: tid{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, unknown: [4]uint16{0x7001, 0x7002, 0x7003}, unknowns: 3}
		ok := success(nil, req.tid, from, key)
		m := &stun.Message{Raw: ok}
		if err := m.Decode(); err != nil {
			t.Fatal(err)
		}
		var x stun.XORMappedAddress
		if err := x.GetFrom(m); err != nil || x.Port != int(from.Port()) || !x.IP.Equal(from.Addr().Unmap().AsSlice()) {
			t.Fatalf("%s: %v %v", addr, x, err)
		}
		checkPion(t, m)
		for code, build := range map[int][]byte{420: failure(nil, req, codeUnknown, key), 487: failure(nil, req, codeRoleConflict, key)} {
			m := &stun.Message{Raw: build}
			if err := m.Decode(); err != nil {
				t.Fatal(err)
			}
			var e stun.ErrorCodeAttribute
			if err := e.GetFrom(m); err != nil || int(e.Code) != code {
				t.Fatalf("%v %v", e, err)
			}
			var u stun.UnknownAttributes
			if err := u.GetFrom(m); (err == nil) != (code == 420) || code == 420 && len(u) != 3 {
				t.Fatalf("%d: %v %v", code, u, err)
			}
			checkPion(t, m)
		}
	}
}

func checkPion(t *testing.T, m *stun.Message) {
	t.Helper()
	if err := stun.NewShortTermIntegrity("password").Check(m); err != nil {
		t.Fatal(err)
	}
	if err := stun.Fingerprint.Check(m); err != nil {
		t.Fatal(err)
	}
}

// head makes a message of raw attribute bytes with a right length field.
func head(typ uint16, attrs ...byte) []byte {
	b := make([]byte, headerSize, headerSize+len(attrs))
	binary.BigEndian.PutUint16(b, typ)
	binary.BigEndian.PutUint16(b[2:], uint16(len(attrs)))
	binary.BigEndian.PutUint32(b[4:], cookie)
	return append(b, attrs...)
}

func TestA4_MalformedIsRefused(t *testing.T) {
	good := stunRequest(t, "abcd:efgh", "password")
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, b := range map[string][]byte{
		"empty":              {},
		"short":              good[:19],
		"length lies, less":  edit(func(b []byte) []byte { b[3] -= 4; return b }),
		"length lies, more":  edit(func(b []byte) []byte { b[3] += 4; return b }),
		"odd length":         append(bytes.Clone(good), 0),
		"no cookie":          edit(func(b []byte) []byte { b[4]++; return b }),
		"top bits":           edit(func(b []byte) []byte { b[0] |= 0x80; return b }),
		"too long":           head(typeRequest, make([]byte, 1484)...),
		"too many":           head(typeRequest, bytes.Repeat([]byte{0x80, 0x22, 0, 0}, maxAttrs+1)...),
		"attribute overruns": head(typeRequest, 0, 6, 0, 9, 'a', 'b', 'c', 'd'),
		"length 65535":       head(typeRequest, 0, 6, 0xff, 0xff, 0, 0, 0, 0),
		"short integrity":    head(typeRequest, 0, 8, 0, 4, 1, 2, 3, 4),
		"short fingerprint":  head(typeRequest, 0x80, 0x28, 0, 0),
		"after fingerprint":  append(head(typeRequest, 0x80, 0x28, 0, 4, 0, 0, 0, 0), 0, 0x25, 0, 0),
		"short priority":     head(typeRequest, 0, 0x24, 0, 0),
		"short controlling":  head(typeRequest, 0x80, 0x2a, 0, 4, 0, 0, 0, 0),
		"empty XOR-MAPPED":   head(typeSuccess, 0, 0x20, 0, 0),
		"XOR-MAPPED family":  head(typeSuccess, 0, 0x20, 0, 8, 0, 3, 0, 0, 1, 2, 3, 4),
		"XOR-MAPPED v6 of 8": head(typeSuccess, 0, 0x20, 0, 8, 0, 2, 0, 0, 1, 2, 3, 4),
		"short ERROR-CODE":   head(typeError, 0, 9, 0, 0),
	} {
		if name == "after fingerprint" {
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerSize))
		}
		var m message
		if m.parse(b) {
			t.Errorf("%s: parsed", name)
		}
	}
	var m message
	if !m.parse(good) {
		t.Error("the good one")
	}
}

func TestPeekUfrag(t *testing.T) {
	for user, want := range map[string]string{
		"abcd:efgh": "abcd", "abcdefgh:x": "abcdefgh", "abcd:": "abcd", "abcd": "", "abc:efgh": "", ":efgh": "", "": "",
		strings.Repeat("a", 256) + ":b": strings.Repeat("a", 256), strings.Repeat("a", 257) + ":b": "",
	} {
		got, ok := PeekUfrag(stunRequest(t, user, "p"))
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q: %q %v", user, got, ok)
		}
	}
	resp, _ := stun.Build(stun.TransactionID, stun.BindingSuccess, stun.NewUsername("abcd:efgh"))
	if _, ok := PeekUfrag(resp.Raw); ok {
		t.Error("a response has no link to find")
	}
	if _, ok := PeekUfrag(head(typeRequest, 0x80, 0x22, 0xff, 0xff)); ok {
		t.Error("overrun")
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(stunRequest(f, "abcd:efgh", "password", controlling, useCandidate, priority(5)))
	f.Add(head(typeSuccess, 0, 0x20, 0, 8, 0, 1, 0, 0, 1, 2, 3, 4))
	f.Add(head(typeRequest, 0, 6, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		ok := m.parse(b)
		u, peeked := PeekUfrag(b)
		if ok && m.typ == typeRequest && m.hasUsername {
			local, _, split := splitUsername(m.username)
			// Peek does not stop at MESSAGE-INTEGRITY; it only finds a link.
			if split && (!peeked || !bytes.Equal(u, local)) {
				t.Fatalf("peek %q, parse %q", u, local)
			}
		}
		if !ok {
			return
		}
		_ = m.authentic(b, sha1mac.New(nil))
		_ = m.printed(b)
		if err := (&stun.Message{Raw: bytes.Clone(b)}).Decode(); err != nil {
			t.Fatalf("we parse what pion refuses: %v", err)
		}
	})
}
