package sctp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/datachannel"
	pionsctp "github.com/pion/sctp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// packets is one end of an in-memory datagram path; full means lost.
type packets struct {
	net.Conn
	in, out chan []byte
	gone    chan struct{}
	once    sync.Once
	peer    *packets
}

func newPath() (a, b *packets) {
	x, y := make(chan []byte, 512), make(chan []byte, 512)
	a = &packets{in: x, out: y, gone: make(chan struct{})}
	b = &packets{in: y, out: x, gone: make(chan struct{})}
	a.peer, b.peer = b, a
	return a, b
}

func (p *packets) Read(b []byte) (int, error) {
	select {
	case d := <-p.in:
		return copy(b, d), nil
	case <-p.gone:
		return 0, io.EOF
	}
}

func (p *packets) Write(b []byte) (int, error) {
	select {
	case <-p.gone:
		return 0, net.ErrClosed
	case p.out <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}

func (p *packets) Close() error                     { p.once.Do(func() { close(p.gone) }); return nil }
func (p *packets) SetDeadline(time.Time) error      { return nil }
func (p *packets) SetReadDeadline(time.Time) error  { return nil }
func (p *packets) SetWriteDeadline(time.Time) error { return nil }
func (p *packets) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (p *packets) RemoteAddr() net.Addr             { return &net.UDPAddr{} }

type message struct {
	id     uint16
	binary bool
	data   []byte
}

// rig is our association with a stranger on the other end.
type rig struct {
	ours   *Association
	client *pionsctp.Association
	opened chan string
	msgs   chan message
	closed chan uint16
	ended  chan error
}

func newRig(t testing.TB, l Limits) *rig {
	t.Helper()
	a, b := newPath()
	r := &rig{opened: make(chan string, 70000), msgs: make(chan message, 4096),
		closed: make(chan uint16, 70000), ended: make(chan error, 1)}
	r.ours = Start(Config{Conn: a, Server: true, Limits: l,
		OnOpen: func(id uint16, label string) { r.opened <- fmt.Sprintf("%d %s", id, label) },
		OnMessage: func(id uint16, bin bool, d []byte) {
			r.msgs <- message{id, bin, bytes.Clone(d)}
		},
		OnClose: func(id uint16) { r.closed <- id },
		OnEnd:   func(err error) { r.ended <- err },
	})
	var err error
	r.client, err = pionsctp.ClientWithOptions(pionsctp.WithNetConn(b), pionsctp.WithLoggerFactory(quiet),
		pionsctp.WithMaxMessageSize(64<<20), pionsctp.WithRTOMax(1000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.ours.Close()
		r.ours.Wait()
		_ = r.client.Close()
	})
	return r
}

func get[T any](t testing.TB, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (r *rig) dial(t testing.TB, id uint16, label string) *datachannel.DataChannel {
	t.Helper()
	dc, err := datachannel.Dial(r.client, id, &datachannel.Config{Label: label, LoggerFactory: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return dc
}

func TestMessagesBothWays(t *testing.T) {
	r := newRig(t, Limits{})
	dc := r.dial(t, 1, "chat")
	if got := get(t, r.opened); got != "1 chat" {
		t.Fatal(got)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 4096) // 64 KiB
	for i, m := range [][]byte{[]byte("hi"), large, {}, []byte("again")} {
		if _, err := dc.WriteDataChannel(m, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		got := get(t, r.msgs)
		if got.id != 1 || got.binary != (i%2 == 1) || !bytes.Equal(got.data, m) {
			t.Fatalf("message %d: id %d binary %v %d bytes", i, got.id, got.binary, len(got.data))
		}
	}
	if err := r.ours.Send(1, true, large); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<17)
	n, text, err := dc.ReadDataChannel(buf)
	if err != nil || text || !bytes.Equal(buf[:n], large) {
		t.Fatal(n, text, err)
	}
	if err := r.ours.Send(1, true, make([]byte, 64<<10+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if err := r.ours.Send(2, true, nil); !errors.Is(err, ErrNoChannel) {
		t.Fatal(err)
	}
	_ = dc.Close()
	if id := get(t, r.closed); id != 1 {
		t.Fatal(id)
	}
}

func TestOpenFromOurSide(t *testing.T) {
	r := newRig(t, Limits{})
	r.dial(t, 1, "x")
	get(t, r.opened)
	if err := r.ours.Open(2, "events"); err != nil {
		t.Fatal(err)
	}
	dc, err := datachannel.Accept(r.client, &datachannel.Config{LoggerFactory: quiet})
	if err != nil || dc.Label != "events" {
		t.Fatal(err)
	}
	if err := r.ours.Send(2, false, []byte("joined")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, text, err := dc.ReadDataChannel(b); err != nil || !text || string(b[:n]) != "joined" {
		t.Fatal(n, text, err)
	}
}

// TestD11_NeverEndingMessage: a message far over the limit pins no more than
// the receive window, and Close frees it.
func TestD11_NeverEndingMessageIsBounded(t *testing.T) {
	r := newRig(t, Limits{})
	dc := r.dial(t, 1, "x")
	get(t, r.opened)
	before := heap()
	if _, err := dc.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	own := heap() // includes the sender's copy
	deadline := time.Now().Add(patience)
	for r.client.BytesSent() < uint64(DefaultLimits.ReceiveBuffer) && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	got := r.client.BytesSent()
	t.Logf("window %d, sent %d, heap %d before, %d with the sender's copy", DefaultLimits.ReceiveBuffer, got, before, own)
	if got > 2<<20 {
		t.Fatalf("%d bytes taken", got)
	}
	if len(r.msgs) != 0 {
		t.Fatal("a message came out")
	}
}

// TestD11_Over the limit but finished: the channel ends, nothing is delivered.
func TestD11_TooLargeMessageEndsItsChannel(t *testing.T) {
	r := newRig(t, Limits{MaxMessage: 10000})
	dc := r.dial(t, 1, "x")
	get(t, r.opened)
	if _, err := dc.Write(make([]byte, 10001)); err != nil {
		t.Fatal(err)
	}
	if id := get(t, r.closed); id != 1 || len(r.msgs) != 0 {
		t.Fatal(id, len(r.msgs))
	}
}

// TestD11_Streams: a peer opening every stream id is cut off after a bounded
// number, with bounded memory.
func TestD11_65535StreamsAreCutOff(t *testing.T) {
	r := newRig(t, Limits{})
	go func() {
		for id := range uint16(65535) {
			if _, err := datachannel.Dial(r.client, id, &datachannel.Config{Label: "x", LoggerFactory: quiet}); err != nil {
				return
			}
			if id%8 == 7 { // pion forgets streams that come faster than they are accepted
				<-r.opened
			}
		}
	}()
	err := get(t, r.ended)
	if !errors.Is(err, ErrStreams) {
		t.Fatal(err)
	}
	_ = r.client.Close()
	r.opened <- ""
}

// TestD11_SlowReader: the peer does not read; Send refuses at the cap.
func TestD11_SlowReaderMeetsAFullBuffer(t *testing.T) {
	r := newRig(t, Limits{SendBuffer: 256 << 10})
	r.dial(t, 1, "x") // never read
	get(t, r.opened)
	sent := 0
	for range 10000 {
		err := r.ours.Send(1, true, make([]byte, 16<<10))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent += 16 << 10
	}
	// What went out sits in the peer's window (1 MiB); the rest is our cap.
	if sent < 200<<10 || sent > 4<<20 {
		t.Fatalf("took %d bytes", sent)
	}
}

func TestD11_MessageRateIsBounded(t *testing.T) {
	r := newRig(t, Limits{MessageRate: 10, MessageBurst: 50})
	dc := r.dial(t, 1, "x")
	get(t, r.opened)
	for range 200 {
		if _, err := dc.Write([]byte{1}); err != nil {
			break
		}
	}
	if err := get(t, r.ended); !errors.Is(err, ErrRate) {
		t.Fatal(err)
	}
	if len(r.msgs) > 60 {
		t.Fatalf("%d messages", len(r.msgs))
	}
}

// TestA25_Junk: bytes that are not SCTP do not disturb an association.
func TestA25_JunkIsIgnored(t *testing.T) {
	r := newRig(t, Limits{})
	dc := r.dial(t, 1, "x")
	get(t, r.opened)
	peer := r.ours.cfg.Conn.(*packets).peer
	for i := range 200 {
		junk := make([]byte, i)
		for k := range junk {
			junk[k] = byte(i * (k + 7))
		}
		_, _ = peer.Write(junk)
	}
	if _, err := dc.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if m := get(t, r.msgs); string(m.data) != "still here" {
		t.Fatalf("%q", m.data)
	}
}

func TestCloseBeforeHandshake(t *testing.T) {
	a, _ := newPath()
	for _, server := range []bool{true, false} {
		x := Start(Config{Conn: a, Server: server})
		if err := x.Send(0, true, nil); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		x.Close()
		x.Wait()
	}
	x := Start(Config{Conn: a, Port: 6000, OnEnd: func(err error) {
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}})
	x.Wait()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
