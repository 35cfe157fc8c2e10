package tcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func stun() []byte {
	b := make([]byte, 20)
	b[1] = 1
	binary.BigEndian.PutUint32(b[4:], 0x2112A442)
	return b
}

// closedByServer waits until the other end closed the connection.
func closedByServer(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		var n net.Error
		if errors.As(err, &n) && n.Timeout() {
			t.Fatal("still open")
		}
	}
}

type got struct {
	conn uint32
	from netip.AddrPort
	b    []byte
}

// rig is an HTTP server and an ICE server behind one port.
type rig struct {
	l      net.Listener
	ice    *Server
	frames chan got
	closed chan uint32
}

func newRig(t *testing.T, limits Limits) *rig {
	t.Helper()
	r := &rig{l: listen(t), frames: make(chan got, 100), closed: make(chan uint32, 100)}
	h, i := SplitWithLimits(r.l, limits)
	r.ice = NewServer(Config{
		Deliver: func(c uint32, from netip.AddrPort, b []byte) { r.frames <- got{c, from, bytes.Clone(b)} },
		Closed:  func(c uint32) { r.closed <- c }, Limits: limits,
	})
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "page")
	})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- r.ice.Serve(ctx, i) }()
	go func() { done <- web.Serve(h) }()
	t.Cleanup(func() {
		cancel()
		_ = web.Close()
		for range 2 {
			if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}
	})
	return r
}

func (r *rig) get(t *testing.T) got {
	t.Helper()
	select {
	case g := <-r.frames:
		return g
	case <-time.After(patience):
		t.Fatal("no frame")
		return got{}
	}
}

func (r *rig) page(t *testing.T) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + r.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, _ := io.ReadAll(resp.Body); string(b) != "page" {
		t.Fatalf("%q", b)
	}
}

func TestSplitServesHTTPAndICEOnOnePort(t *testing.T) {
	r := newRig(t, Limits{})
	r.page(t)
	c := dial(t, r.l)
	media := bytes.Repeat([]byte{0x80}, 1400)
	_, _ = c.Write(append(framed(stun()), framed(media)...))
	first, second := r.get(t), r.get(t)
	if !bytes.Equal(first.b, stun()) || !bytes.Equal(second.b, media) || first.conn != second.conn {
		t.Fatalf("%d %d bytes, conns %d %d", len(first.b), len(second.b), first.conn, second.conn)
	}
	if first.from.String() != c.LocalAddr().String() {
		t.Fatalf("from %v, want %v", first.from, c.LocalAddr())
	}
	conn := r.ice.Conn(first.conn)
	if !conn.Send(Audio, []byte("sound")) || !conn.Send(Video, []byte("picture")) {
		t.Fatal("refused")
	}
	b := make([]byte, 2+5+2+7)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "\x00\x05sound\x00\x07picture" {
		t.Fatalf("%q %v", b, err)
	}
	r.page(t)
	_ = c.Close()
	if id := <-r.closed; id != first.conn || conn.Send(Audio, []byte("x")) {
		t.Fatal("not closed")
	}
}

// TestS2: silent connections delay nobody, and are closed when their time is up.
func TestS2_SlowPeersBlockNobody(t *testing.T) {
	r := newRig(t, Limits{Decide: 300 * time.Millisecond})
	var silent []net.Conn
	for range 30 {
		silent = append(silent, dial(t, r.l))
	}
	r.page(t)
	for _, c := range silent {
		closedByServer(t, c)
	}
}

func TestS2_UndecidedAreBoundedPerAddress(t *testing.T) {
	r := newRig(t, Limits{UndecidedPerAddress: 3, Decide: time.Minute})
	var held []net.Conn
	for range 3 {
		held = append(held, dial(t, r.l))
	}
	closedByServer(t, dial(t, r.l)) // the fourth
	_ = held[0].Close()
	for deadline := time.Now().Add(patience); ; { // its place becomes free
		c := dial(t, r.l)
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		if b, err := io.ReadAll(c); err == nil && bytes.Contains(b, []byte("page")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("place not freed")
		}
	}
}

func TestD12_FirstFrameMustBeSTUNAndSoon(t *testing.T) {
	r := newRig(t, Limits{FirstFrame: 300 * time.Millisecond})
	for name, b := range map[string][]byte{
		"half a frame": framed(stun())[:10],
		"not stun":     framed(bytes.Repeat([]byte{0}, 20)),
		"media":        framed(bytes.Repeat([]byte{0x80}, 100)),
		"empty":        {0, 0},
		"neither":      {0x80, 1, 2, 3},
		"too large":    {5, 0xFF + 0, 1},
		"length lies":  framed(append(stun(), 1, 2, 3)),
	} {
		c := dial(t, r.l)
		_, _ = c.Write(b)
		t.Log(name)
		closedByServer(t, c)
	}
	if len(r.frames) != 0 {
		t.Fatal("delivered")
	}
}

func TestTooLargeFrameEndsTheConnection(t *testing.T) {
	r := newRig(t, Limits{})
	c := dial(t, r.l)
	_, _ = c.Write(append(framed(stun()), 0xFF, 0xFF, 1, 2, 3))
	r.get(t)
	closedByServer(t, c)
}

// stuck is a net.Conn whose writes block until it is closed.
type stuck struct {
	net.Conn
	writing chan struct{}
	gone    chan struct{}
}

func (s *stuck) Write([]byte) (int, error) {
	select {
	case s.writing <- struct{}{}:
	default:
	}
	<-s.gone
	return 0, net.ErrClosed
}
func (s *stuck) SetWriteDeadline(time.Time) error { return nil }
func (s *stuck) Close() error                     { close(s.gone); return nil }

func newStuck() *Conn {
	s := &stuck{writing: make(chan struct{}, 1), gone: make(chan struct{})}
	return &Conn{nc: s, stall: time.Minute, wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

// TestSlowWriter: with a peer that reads nothing, Send never blocks, video goes
// first, audio still finds room, control too.
func TestSlowWriterDropsVideoBeforeAudio(t *testing.T) {
	c := newStuck()
	refused := 0
	for range 200 {
		if !c.Send(Video, make([]byte, 1200)) {
			refused++
		}
	}
	if refused < 100 {
		t.Fatalf("only %d refused", refused)
	}
	for i := range 400 {
		if !c.Send(Audio, make([]byte, 120)) {
			t.Fatalf("audio %d refused", i)
		}
	}
	if !c.Send(Control, make([]byte, 1200)) {
		t.Fatal("control refused")
	}
	if c.Send(Video, make([]byte, 1200)) {
		t.Fatal("video taken over audio")
	}
	for range 2000 {
		c.Send(Control, make([]byte, 1200))
	}
	c.mu.Lock()
	bytes := c.bytes
	c.mu.Unlock()
	if bytes > queueBytes[Control] || c.Dropped(Video) == 0 || c.Dropped(Audio) == 0 {
		t.Fatalf("%d bytes, video %d audio %d", bytes, c.Dropped(Video), c.Dropped(Audio))
	}
	c.Close()
	c.writer.Wait()
}

func TestGateCountsAnIPv6NetworkAsOne(t *testing.T) {
	g := newGate(10, 2)
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff")
	if !g.enter(a) || !g.enter(b) || g.enter(a) {
		t.Fatal("not bounded")
	}
	g.leave(a)
	if !g.enter(b) {
		t.Fatal("not freed")
	}
	g.leave(b)
	g.leave(b)
	if len(g.per) != 0 || g.inside != 0 {
		t.Fatal("left over")
	}
}

func TestRFC4571_FramesSurviveAnySplit(t *testing.T) {
	var all []byte
	var want [][]byte
	for n := 0; n <= maxFrame; n += 97 {
		f := bytes.Repeat([]byte{byte(n)}, n)
		want, all = append(want, f), append(all, framed(f)...)
	}
	for _, src := range []io.Reader{
		bytes.NewReader(all), iotest.OneByteReader(bytes.NewReader(all)), iotest.HalfReader(bytes.NewReader(all)),
		iotest.DataErrReader(bytes.NewReader(all)),
	} {
		r := frameReader{src: src}
		for _, w := range want {
			if b, err := r.next(); err != nil || !bytes.Equal(b, w) {
				t.Fatalf("%d bytes, want %d, %v", len(b), len(w), err)
			}
		}
		if _, err := r.next(); err == nil {
			t.Fatal("no end")
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(framed(stun()), framed([]byte("abc"))...))
	f.Add([]byte{0xFF, 0xFF})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, bit := frameReader{src: bytes.NewReader(b)}, frameReader{src: iotest.OneByteReader(bytes.NewReader(b))}
		for {
			x, ex := whole.next()
			y, ey := bit.next()
			if !bytes.Equal(x, y) || (ex == nil) != (ey == nil) {
				t.Fatalf("%x %v, %x %v", x, ex, y, ey)
			}
			if ex != nil {
				return
			}
			looksLikeSTUN(x)
		}
	})
}
