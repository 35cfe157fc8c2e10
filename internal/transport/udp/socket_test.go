package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second // for a loaded machine; never waited in full

var (
	loop4 = netip.MustParseAddrPort("127.0.0.1:0")
	loop6 = netip.MustParseAddrPort("[::1]:0")
	dual  = netip.MustParseAddrPort("[::]:0")
)

func listen(t testing.TB, at netip.AddrPort, cfg Config) *Socket {
	t.Helper()
	s, err := Listen(at, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// variants are the ways a socket can work; the fast ones fall back by
// themselves where the system lacks them.
var variants = map[string]Config{
	"fast": {}, "no-gso": {NoGSO: true}, "no-gro": {NoGRO: true}, "neither": {NoGSO: true, NoGRO: true}, "plain": {Plain: true},
}

// receive reads until want datagrams came.
func receive(t testing.TB, s *Socket, want int) (got []Datagram) {
	t.Helper()
	b := s.NewBatch()
	for end := time.Now().Add(patience); len(got) < want; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d datagrams; receiver %+v", len(got), want, s.Stats())
		}
		if _, err := s.Read(b, end); err != nil {
			t.Fatal(err)
		}
		for _, d := range b.Items {
			d.B = bytes.Clone(d.B)
			got = append(got, d)
		}
	}
	return got
}

func payload(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*7 + seed + byte(i>>8)
	}
	return b
}

func TestSendReceive(t *testing.T) {
	for sendName, sendCfg := range variants {
		for recvName, recvCfg := range variants {
			for _, at := range []netip.AddrPort{loop4, loop6} {
				t.Run(fmt.Sprintf("%s-%s-%v", sendName, recvName, at.Addr()), func(t *testing.T) {
					tx, rx := listen(t, at, sendCfg), listen(t, at, recvCfg)
					sendAndCompare(t, tx, rx, rx.Info().Local)
				})
			}
		}
	}
}

func sendAndCompare(t *testing.T, tx, rx *Socket, to netip.AddrPort) {
	t.Helper()
	if !to.IsValid() {
		to = rx.Info().Local
	}
	run := payload(5*1100+400, 3) // 1100 x 5 and 400
	msgs := []Message{
		{To: to, B: payload(10, 1)},
		{To: to, B: run, SegSize: 1100},
		{To: to, B: payload(1200, 2), SegSize: 1200},
		{To: to, B: payload(64*20, 9), SegSize: 20},
	}
	var want [][]byte
	for _, m := range msgs {
		for b := m.B; len(b) > 0; {
			n := len(b)
			if m.SegSize > 0 {
				n = min(n, m.SegSize)
			}
			want, b = append(want, b[:n]), b[n:]
		}
	}
	tx.Send(msgs)
	got := receive(t, rx, len(want))
	if len(got) != len(want) {
		t.Fatalf("%d datagrams, want %d", len(got), len(want))
	}
	for i, d := range got {
		if !bytes.Equal(d.B, want[i]) {
			t.Fatalf("datagram %d: %d bytes, want %d", i, len(d.B), len(want[i]))
		}
		if d.From.Port() != tx.Info().Local.Port() || d.From.Addr().Is4In6() {
			t.Fatalf("datagram %d from %v", i, d.From)
		}
	}
	if s := tx.Stats(); s.TxDatagrams != uint64(len(want)) || s.TxErrors != 0 || s.TxBlocked != 0 {
		t.Fatalf("sender stats %+v", s)
	}
	if s := rx.Stats(); s.RxDatagrams != uint64(len(want)) {
		t.Fatalf("receiver stats %+v", s)
	}
}

func TestDualStack(t *testing.T) {
	for _, plain := range []bool{false, true} {
		rx := listen(t, dual, Config{Plain: plain})
		port := rx.Info().Local.Port()
		tx := listen(t, loop4, Config{})
		sendAndCompare(t, tx, rx, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
		// And back: IPv4 destinations from the dual socket, runs too.
		sendAndCompare(t, rx, listen(t, loop4, Config{}), netip.AddrPort{})
	}
}

func TestMoreMessagesThanOneChunk(t *testing.T) {
	tx, rx := listen(t, loop4, Config{}), listen(t, loop4, Config{})
	var msgs []Message
	for i := range 100 {
		msgs = append(msgs, Message{To: rx.Info().Local, B: payload(100+i, byte(i))})
	}
	tx.Send(msgs)
	for i, d := range receive(t, rx, 100) {
		if !bytes.Equal(d.B, msgs[i].B) {
			t.Fatalf("datagram %d differs", i)
		}
	}
}

// A run over the kernel's caps is cut by the socket, not refused.
func TestOverlongRunIsCut(t *testing.T) {
	tx, rx := listen(t, loop4, Config{}), listen(t, loop4, Config{})
	tx.Send([]Message{{To: rx.Info().Local, B: payload(150*1000, 1), SegSize: 1000}})
	if got := receive(t, rx, 150); len(got) != 150 {
		t.Fatal(len(got))
	}
	if st := tx.Stats(); st.TxErrors != 0 || st.TxSplit != 0 {
		t.Fatalf("%+v", st)
	}
}

// Segments larger than the kernel takes: the message is sent again one by one
// and the rest of the batch is not harmed.
func TestRefusedRunFallsBack(t *testing.T) {
	tx, rx := listen(t, loop4, Config{}), listen(t, loop4, Config{})
	if !tx.Info().GSO {
		t.Log("no GSO here: the plain way is tested")
	}
	to := rx.Info().Local
	tx.Send([]Message{
		{To: to, B: []byte("before")},
		{To: netip.AddrPortFrom(to.Addr(), 0), B: payload(3000, 1), SegSize: 1000}, // port 0 is invalid
		{To: netip.AddrPort{}, B: []byte("nowhere")},
		{To: loop6, B: []byte("wrong family")},
		{To: to, B: []byte("after")},
	})
	got := receive(t, rx, 2)
	if string(got[0].B) != "before" || string(got[1].B) != "after" {
		t.Fatalf("%q %q", got[0].B, got[1].B)
	}
	if st := tx.Stats(); st.TxErrors != 5 || st.TxDatagrams != 2 {
		t.Fatalf("%+v", st)
	}
	for range 50 { // one bad path for long: still everybody is served
		tx.Send([]Message{{To: netip.AddrPortFrom(to.Addr(), 0), B: payload(3000, 1), SegSize: 1000}, {To: to, B: []byte("x")}})
	}
	receive(t, rx, 50)
}

func TestOversizeDatagramIsDropped(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			tx, rx := listen(t, loop4, Config{}), listen(t, loop4, cfg)
			tx.Send([]Message{{To: rx.Info().Local, B: payload(65507, 1)}, {To: rx.Info().Local, B: []byte("x")}})
			for {
				got := receive(t, rx, 1)
				last := got[len(got)-1].B
				if string(last) == "x" {
					return
				}
				if len(last) <= 1500 {
					t.Fatalf("a cut datagram of %d bytes", len(last))
				}
			}
		})
	}
}

func TestReadDeadline(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			s := listen(t, loop4, cfg)
			b := s.NewBatch()
			for _, d := range []time.Time{past, time.Now().Add(-time.Hour), time.Now().Add(5 * time.Millisecond)} {
				if n, err := s.Read(b, d); n != 0 || err != nil {
					t.Fatal(n, err)
				}
			}
			// A packet that waits is read even by a Read that must not wait.
			if cfg.Plain {
				return
			}
			s.Send([]Message{{To: s.Info().Local, B: []byte("x")}})
			for end := time.Now().Add(patience); ; {
				n, err := s.Read(b, past)
				if err != nil || time.Now().After(end) {
					t.Fatal(n, err)
				}
				if n == 1 {
					return
				}
			}
		})
	}
}

// The doorbell: every bell rung after a message was left is answered by a
// return of Read after it; none is lost, whatever the order.
func TestWakeIsNeverLost(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			s := listen(t, loop4, cfg)
			const rings = 500
			var mu sync.Mutex
			left, taken := 0, make(chan struct{}, 1)
			go func() {
				for range rings {
					mu.Lock()
					left++
					mu.Unlock()
					s.Wake()
					<-taken
				}
			}()
			b := s.NewBatch()
			end := time.Now().Add(patience * 3)
			for got := 0; got < rings; {
				if _, err := s.Read(b, end); err != nil {
					t.Fatal(err)
				}
				if time.Now().After(end) {
					t.Fatalf("bell %d lost", got)
				}
				mu.Lock()
				n := left
				left = 0
				mu.Unlock()
				got += n
				for range n {
					taken <- struct{}{}
				}
			}
		})
	}
}

func TestCloseEndsRead(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			s := listen(t, loop4, cfg)
			done := make(chan error)
			go func() {
				b := s.NewBatch()
				for {
					if _, err := s.Read(b, time.Time{}); err != nil {
						done <- err
						return
					}
				}
			}()
			_ = s.Close()
			select {
			case err := <-done:
				if !errors.Is(err, os.ErrClosed) {
					t.Fatal(err)
				}
			case <-time.After(patience):
				t.Fatal("Read did not return")
			}
			s.Wake()
			s.Send([]Message{{To: loop4, B: []byte("x")}})
			_ = s.Stats()
		})
	}
}

func TestInfo(t *testing.T) {
	i := listen(t, loop4, Config{}).Info()
	t.Logf("%+v", i)
	if i.Local.Port() == 0 || i.Local.Addr() != loop4.Addr() {
		t.Fatalf("%+v", i)
	}
	if p := listen(t, loop4, Config{Plain: true}).Info(); p.Fast || p.GSO || p.GRO {
		t.Fatalf("%+v", p)
	}
}

func TestListenFails(t *testing.T) {
	s := listen(t, loop4, Config{})
	for _, plain := range []bool{false, true} {
		if _, err := Listen(s.Info().Local, Config{Plain: plain}); err == nil {
			t.Fatal("a port twice")
		}
	}
}

func TestNoAllocations(t *testing.T) {
	tx, rx := listen(t, loop4, Config{}), listen(t, loop4, Config{})
	if !rx.Info().Fast || raceEnabled {
		t.Log("the portable way may allocate")
		return
	}
	b := rx.NewBatch()
	run := payload(6000, 1)
	msgs := []Message{{To: rx.Info().Local, B: run, SegSize: 1000}, {To: rx.Info().Local, B: run[:500]}}
	end := time.Now().Add(patience)
	if n := testing.AllocsPerRun(200, func() {
		tx.Send(msgs)
		for got := 0; got < 7; {
			n, err := rx.Read(b, end)
			if err != nil || time.Now().After(end) {
				t.Fatal(err)
			}
			got += n
		}
		_, _ = rx.Read(b, past) // the end of a wait
		rx.Wake()
		_, _ = rx.Read(b, end)
	}); n != 0 {
		t.Fatalf("%v allocations per turn", n)
	}
}

func BenchmarkSend(b *testing.B) {
	for _, k := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("segments=%d", k), func(b *testing.B) {
			tx, rx := listen(b, loop4, Config{}), listen(b, loop4, Config{})
			msgs := make([]Message, 16)
			for i := range msgs {
				msgs[i] = Message{To: rx.Info().Local, B: payload(k*1200, 1), SegSize: 1200}
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				tx.Send(msgs)
				n += k * len(msgs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/datagram")
		})
	}
}
