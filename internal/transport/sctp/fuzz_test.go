package sctp

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"testing"
	"time"

	pionsctp "github.com/pion/sctp"
)

// chunk builds one SCTP chunk (RFC 9260, section 3.2).
func chunk(kind, flags byte, body []byte) []byte {
	b := []byte{kind, flags, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(4+len(body)))
	b = append(b, body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// data is a DATA chunk's body: TSN, stream, sequence, protocol, bytes.
func data(tsn uint32, stream, seq uint16, ppid uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, tsn)
	b = binary.BigEndian.AppendUint16(b, stream)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint32(b, ppid)
	return append(b, payload...)
}

// packet wraps chunks with ports, tag and a right checksum, so that they get
// past the outer checks.
func packet(tag uint32, chunks []byte) []byte {
	b := []byte{0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], tag)
	b = append(b, chunks...)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// live is an association with an honest client, into which the fuzzer speaks
// with the client's own tag.
type live struct {
	ours   *Association
	client *pionsctp.Association
	inject *packets // written packets reach ours
	tag    atomic.Uint32
	tsn    atomic.Uint32 // the client's first
	ended  chan struct{}
}

// tapped notes tag and first TSN of what the client sends.
type tapped struct {
	*packets
	l *live
}

func (c tapped) Write(b []byte) (int, error) {
	if len(b) >= 12+20 && b[12] == 1 { // INIT: initiate tag, rwnd, streams, initial TSN
		c.l.tsn.Store(binary.BigEndian.Uint32(b[28:]))
	}
	if t := binary.BigEndian.Uint32(b[4:]); t != 0 {
		c.l.tag.Store(t)
	}
	return c.packets.Write(b)
}

func newLive(t testing.TB) *live {
	t.Helper()
	a, b := newPath()
	l := &live{inject: b, ended: make(chan struct{})}
	l.ours = Start(Config{Conn: a, Server: true,
		OnOpen: func(uint16, string) {}, OnMessage: func(uint16, bool, []byte) {}, OnClose: func(uint16) {},
		OnEnd: func(error) { close(l.ended) }})
	var err error
	l.client, err = pionsctp.ClientWithOptions(pionsctp.WithNetConn(tapped{b, l}), pionsctp.WithLoggerFactory(quiet))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *live) close() {
	l.ours.Close()
	l.ours.Wait()
	_ = l.client.Close()
}

// FuzzChunks: no bytes from a peer bring the process down, whatever they do to
// that peer's own association (reliability, section 1.6: pion/sctp has no
// fuzz targets of its own).
func FuzzChunks(f *testing.F) {
	open := []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 'x'}
	f.Add(chunk(0, 3, data(0, 1, 0, 50, open)))
	f.Add(append(chunk(0, 3, data(0, 1, 0, 50, open)), chunk(0, 3, data(1, 1, 1, 51, []byte("hi")))...))
	f.Add(chunk(0, 2, data(0, 9, 0, 53, make([]byte, 900)))) // begins, never ends
	f.Add(chunk(0, 3, data(0, 1, 0, 50, []byte{3, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})))
	f.Add(chunk(3, 0, make([]byte, 12)))
	f.Add(chunk(3, 0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}))
	f.Add(chunk(192, 0, make([]byte, 8)))
	f.Add(chunk(130, 0, []byte{0, 13, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}))
	f.Add(chunk(1, 0, make([]byte, 16)))
	f.Add(chunk(6, 0, nil))
	f.Add(chunk(10, 0, make([]byte, 40)))
	f.Add(chunk(4, 0, []byte{0, 1, 0, 4}))
	f.Add([]byte{0, 0, 0, 0})
	l := newLive(f)
	f.Cleanup(func() { l.close() })
	f.Fuzz(func(t *testing.T, chunks []byte) {
		if len(chunks) > 1400 {
			return
		}
		select {
		case <-l.ended:
			l.close()
			l = newLive(t)
		default:
		}
		c := append([]byte(nil), chunks...)
		if len(c) >= 8 && c[0] == 0 { // DATA: make its TSN the next one
			binary.BigEndian.PutUint32(c[4:], l.tsn.Load()+binary.BigEndian.Uint32(c[4:])%8)
		}
		_, _ = l.inject.Write(packet(l.tag.Load(), c))
		// In step, so that a crash belongs to its input.
		for deadline := time.Now().Add(patience); len(l.inject.out) > 0 && time.Now().Before(deadline); {
			select {
			case <-l.ended:
				return
			case <-time.After(10 * time.Microsecond):
			}
		}
	})
}
