package srtp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"
)

var profiles = []Profile{AES128CMHMACSHA180, AEADAES128GCM}

func pionProfile(p Profile) pion.ProtectionProfile {
	if p == AEADAES128GCM {
		return pion.ProtectionProfileAeadAes128Gcm
	}
	return pion.ProtectionProfileAes128CmHmacSha1_80
}

func secrets(p Profile) (key, salt []byte) {
	rng := rand.New(rand.NewPCG(7, uint64(p)))
	key, salt = make([]byte, p.KeyLen()), make([]byte, p.SaltLen())
	for _, b := range [][]byte{key, salt} {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	return key, salt
}

func pionContext(t testing.TB, p Profile) *pion.Context {
	t.Helper()
	key, salt := secrets(p)
	c, err := pion.CreateContext(key, salt, pionProfile(p))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pair(t testing.TB, p Profile) (*Sender, *Receiver) {
	t.Helper()
	key, salt := secrets(p)
	s, err := NewSender(p, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(p, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// rtpHeader makes a header with CSRCs and an extension of n words.
func rtpHeader(seq uint16, ssrc uint32, csrcs, words int) []byte {
	h := make([]byte, 12, 12+4*csrcs+4+4*words)
	h[0], h[1] = 0x80|byte(csrcs), 96
	binary.BigEndian.PutUint16(h[2:], seq)
	binary.BigEndian.PutUint32(h[4:], uint32(seq)*3000)
	binary.BigEndian.PutUint32(h[8:], ssrc)
	for i := range csrcs {
		h = binary.BigEndian.AppendUint32(h, uint32(i))
	}
	if words > 0 {
		h[0] |= 0x10
		h = append(h, 0xbe, 0xde, 0, byte(words))
		for i := range words {
			h = append(h, 0x12, byte(i), 1, 2) // id 1, 3 bytes
		}
	}
	return h
}

func body(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*31 + seed
	}
	return b
}

// Bit for bit what pion makes, and each opens the other's, through the wrap of
// the sequence number, with CSRCs, extensions and all lengths.
func TestOracleRTP(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) {
			s, r := pair(t, p)
			theirs, opener := pionContext(t, p), pionContext(t, p)
			for i := range 400 {
				seq := uint16(65535 - 200 + i)
				hdr := rtpHeader(seq, 0xdecafbad, i%16, i%5)
				clear := append(bytes.Clone(hdr), body((i*37)%1300, byte(i))...)
				got, err := s.SealRTP(nil, hdr, clear[len(hdr):])
				if err != nil {
					t.Fatal(err)
				}
				want, err := theirs.EncryptRTP(nil, clear, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("packet %d differs", i)
				}
				if back, d := r.OpenRTP(nil, want); d != DropNone || !bytes.Equal(back, clear) {
					t.Fatalf("packet %d: we open theirs: %v", i, d)
				}
				if back, err := opener.DecryptRTP(nil, got, nil); err != nil || !bytes.Equal(back, clear) {
					t.Fatalf("packet %d: they open ours: %v", i, err)
				}
				if len(got)-len(clear) != s.Overhead() {
					t.Fatal("overhead")
				}
			}
		})
	}
}

func TestOracleRTCP(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) {
			s, r := pair(t, p)
			theirs, opener := pionContext(t, p), pionContext(t, p)
			for i := range 200 {
				clear := body(8+4*(i%60), byte(i))
				clear[0], clear[1] = 0x80, 200
				binary.BigEndian.PutUint16(clear[2:], uint16(i%60+1))
				binary.BigEndian.PutUint32(clear[4:], 0x11223344)
				got, err := s.SealRTCP(nil, clear)
				if err != nil {
					t.Fatal(err)
				}
				want, err := theirs.EncryptRTCP(nil, clear, nil)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("compound %d differs: %v", i, err)
				}
				if back, d := r.OpenRTCP(nil, want); d != DropNone || !bytes.Equal(back, clear) {
					t.Fatalf("compound %d: we open theirs: %v", i, d)
				}
				if back, err := opener.DecryptRTCP(nil, got, nil); err != nil || !bytes.Equal(back, clear) {
					t.Fatalf("compound %d: they open ours: %v", i, err)
				}
				if len(got)-len(clear) != s.OverheadRTCP() {
					t.Fatal("overhead")
				}
			}
		})
	}
}

// Several ROC wraps with seeded loss and reordering: what pion seals we open.
func TestOracleLossAndReorder(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) {
			const seed = 11
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			theirs := pionContext(t, p)
			_, r := pair(t, p)
			var held [][]byte
			open := func(b []byte) {
				if _, d := r.OpenRTP(nil, b); d != DropNone {
					t.Fatalf("seq %d: %v", binary.BigEndian.Uint16(b[2:]), d)
				}
				if _, d := r.OpenRTP(nil, b); d != DropReplay {
					t.Fatalf("a second time: %v", d)
				}
			}
			for i := 0; i < 200000; i += 1 + rng.IntN(40) {
				b, err := theirs.EncryptRTP(nil, append(rtpHeader(uint16(1000+i), 5, 0, 0), "payload"...), nil)
				if err != nil {
					t.Fatal(err)
				}
				switch rng.IntN(10) {
				case 0: // lost
				case 1:
					held = append(held, b)
				default:
					open(b)
					for _, h := range held {
						open(h)
					}
					held = held[:0]
				}
			}
		})
	}
}

func TestManySSRCs(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		for round := range 3 {
			for i := range uint32(40) {
				ssrc := i * 2654435761
				got, err := s.SealRTP(nil, rtpHeader(uint16(65534+round), ssrc, 0, 0), []byte("x"))
				if err != nil {
					t.Fatal(err)
				}
				if _, d := r.OpenRTP(nil, got); d != DropNone {
					t.Fatalf("%v round %d ssrc %d: %v", p, round, ssrc, d)
				}
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, p := range profiles {
		for _, n := range []int{1200, 120} {
			hdr := rtpHeader(0, 1, 0, 2)
			clear := append(bytes.Clone(hdr), body(n-len(hdr), 1)...)
			b.Run(fmt.Sprintf("%v/%d/parley", p, n), func(b *testing.B) {
				s, _ := pair(b, p)
				dst := make([]byte, 0, 1500)
				b.ReportAllocs()
				for i := uint16(0); b.Loop(); i++ {
					binary.BigEndian.PutUint16(clear[2:], i)
					if _, err := s.SealRTP(dst, clear[:len(hdr)], clear[len(hdr):]); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%v/%d/pion", p, n), func(b *testing.B) {
				c := pionContext(b, p)
				var header rtp.Header
				dst := make([]byte, 0, 1500)
				b.ReportAllocs()
				for i := uint16(0); b.Loop(); i++ {
					binary.BigEndian.PutUint16(clear[2:], i)
					if _, err := c.EncryptRTP(dst, clear, &header); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, p := range profiles {
		for _, n := range []int{1200, 120} {
			s, _ := pair(b, p)
			const count = 4096
			packets := make([][]byte, count)
			for i := range packets {
				packets[i], _ = s.SealRTP(nil, rtpHeader(uint16(i), 1, 0, 2), body(n-24, 1))
			}
			b.Run(fmt.Sprintf("%v/%d/parley", p, n), func(b *testing.B) {
				dst := make([]byte, 0, 1500)
				b.ReportAllocs()
				var r *Receiver
				for i := 0; b.Loop(); i++ {
					if i%count == 0 {
						_, r = pair(b, p)
					}
					if _, d := r.OpenRTP(dst, packets[i%count]); d != DropNone {
						b.Fatal(d)
					}
				}
			})
			b.Run(fmt.Sprintf("%v/%d/pion", p, n), func(b *testing.B) {
				dst := make([]byte, 0, 1500)
				b.ReportAllocs()
				var c *pion.Context
				var header rtp.Header
				for i := 0; b.Loop(); i++ {
					if i%count == 0 {
						c = pionContext(b, p)
					}
					if _, err := c.DecryptRTP(dst, packets[i%count], &header); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
