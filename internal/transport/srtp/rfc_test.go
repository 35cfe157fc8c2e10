package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 3711, appendix B.3: key derivation.
func TestRFC3711_B3_KeyDerivation(t *testing.T) {
	key, salt := unhex(t, "E1F97A0D3E018BE0D64FA32C06DE4139"), unhex(t, "0EC675AD498AFEEBB6960B3AABE6")
	for label, want := range map[byte]string{
		labelRTPKey:  "C61E7A93744F39EE10734AFE3FF7A087",
		labelRTPSalt: "30CBBC08863D8C85D49DB34A9AE1",
		labelRTPAuth: "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4 8F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF722709863" +
			"71C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68",
	} {
		w := unhex(t, want)
		got := make([]byte, len(w))
		if err := derive(key, salt, label, got); err != nil || !bytes.Equal(got, w) {
			t.Errorf("label %d: %x %v", label, got, err)
		}
	}
}

// RFC 3711, appendix B.2: AES-CM key stream, by both ways of making it.
func TestRFC3711_B2_Counter(t *testing.T) {
	key := unhex(t, "2B7E151628AED2A6ABF7158809CF4F3C")
	want := unhex(t, "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
	fastCTR, err := newCTR(key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := aes.NewCipher(key)
	for name, c := range map[string]*ctr{"stream": fastCTR, "blocks": {block: block}} {
		got := make([]byte, len(want))
		c.xor(got, make([]byte, len(want)), 0xF0F1F2F3F4F5F6F7, 0xF8F9FAFBFCFD0000)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// This Go release's stream can be reused; a release where it cannot works too,
// but this test says that it is slower there.
func TestStandardLibraryStreamIsReused(t *testing.T) {
	if !fields.ok {
		t.Error("crypto/cipher's CTR has another shape: the slow way is in use")
	}
}

func TestBothWaysOfCTRAgree(t *testing.T) {
	key := []byte("0123456789abcdef")
	block, _ := aes.NewCipher(key)
	a, _ := newCTR(key)
	b := &ctr{block: block}
	src := bytes.Repeat([]byte{1, 2, 3}, 500)
	for n := 0; n <= 1500; n += 7 {
		x, y := make([]byte, n), make([]byte, n)
		a.xor(x, src[:n], uint64(n)<<32, ^uint64(n)<<16)
		b.xor(y, src[:n], uint64(n)<<32, ^uint64(n)<<16)
		if !bytes.Equal(x, y) {
			t.Fatalf("%d bytes", n)
		}
	}
}

// rfc7714 makes the session keys of RFC 7714, section 16 without derivation.
func rfc7714(t *testing.T) *gcm {
	t.Helper()
	block, err := aes.NewCipher(unhex(t, "000102030405060708090a0b0c0d0e0f"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	salt := [gcmSalt]byte(unhex(t, "517569642070726f2071756f"))
	return &gcm{rtp: aead, rtcp: aead, rtpSalt: salt, rtcpSalt: salt}
}

// RFC 7714, section 16.1: SRTP.
func TestRFC7714_16_RTP(t *testing.T) {
	clear := unhex(t, `8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361
		20696e207061727465732074726573`)
	want := unhex(t, `8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a
		51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce`)
	r := &Receiver{suite: rfc7714(t)}
	r.LimitStreams(1)
	s := &Sender{suite: rfc7714(t), streams: streams{max: 1}}
	got, err := s.SealRTP(nil, clear[:12], clear[12:])
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x %v", got, err)
	}
	if back, d := r.OpenRTP(nil, want); d != DropNone || !bytes.Equal(back, clear) {
		t.Fatalf("%x %v", back, d)
	}
}

// RFC 7714, section 17: SRTCP.
func TestRFC7714_17_RTCP(t *testing.T) {
	clear := unhex(t, `81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61
		deadbeefdeadbeefdeadbeefdeadbeefdeadbeef`)
	want := unhex(t, `81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda
		4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4`)
	s := &Sender{suite: rfc7714(t), rtcp: 0x5d3}
	got, err := s.SealRTCP(nil, clear)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x %v", got, err)
	}
	r := &Receiver{suite: rfc7714(t)}
	r.LimitStreams(1)
	if back, d := r.OpenRTCP(nil, want); d != DropNone || !bytes.Equal(back, clear) {
		t.Fatalf("%x %v", back, d)
	}
}
