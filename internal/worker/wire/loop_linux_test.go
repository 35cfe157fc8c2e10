//go:build linux && (amd64 || arm64)

package wire

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/ice"
)

// TestLoopServesManyPeers: every peer of a loop gets its own datagrams with
// their age, whole runs are cut, and all are closed with the loop.
func TestLoopServesManyPeers(t *testing.T) {
	for _, gro := range []bool{false, true} {
		s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		clk := clock.NewSystem()
		l, err := NewLoop(clk, gro)
		if err != nil {
			t.Fatal(err)
		}
		const peers, each = 40, 100
		var got [peers]atomic.Int32
		var aged, wrong, over atomic.Int32
		full := make(chan struct{}, peers)
		var all []*Peer
		for i := range peers {
			p, err := Dial(Config{
				Clock: clk, Loop: l, Local: ice.NewCreds(), Remote: ice.NewCreds(), Server: s.LocalAddr().(*net.UDPAddr).AddrPort(),
				OnAge: func(d time.Duration) {
					if d >= 0 && d < time.Hour {
						aged.Add(1)
					}
				},
				OnSealed: func(_ clock.Time, b []byte) bool {
					if len(b) != 40 || b[20] != byte(i) {
						wrong.Add(1)
					}
					if got[i].Add(1) == each {
						full <- struct{}{}
					}
					return false
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if p.Rebind() == nil {
				t.Error("a loop's peer moved")
			}
			if err := p.QueueRTP(make([]byte, 12), nil); !errors.Is(err, ErrNotConnected) {
				t.Errorf("queued before keys: %v", err)
			}
			l.Add(p, func(err error) {
				if errors.Is(err, ErrClosed) {
					over.Add(1)
				}
			})
			all = append(all, p)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		var called atomic.Int32
		go func() {
			defer close(ended)
			l.Run(ctx, func(now clock.Time) clock.Time { called.Add(1); return now.Add(time.Millisecond) })
		}()
		for n := range each {
			for i, p := range all {
				b := make([]byte, 40)
				b[0], b[3], b[20] = 0x80, byte(n), byte(i)
				if _, err := s.WriteToUDPAddrPort(b, p.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range all {
			select {
			case <-full:
			case <-time.After(30 * time.Second):
				t.Fatal("datagrams are missing")
			}
		}
		cancel()
		<-ended
		if wrong.Load() != 0 || aged.Load() == 0 || over.Load() != peers || called.Load() == 0 {
			t.Errorf("gro %v: %d wrong, %d with age, %d of %d over, due called %d times", gro, wrong.Load(), aged.Load(), over.Load(), peers, called.Load())
		}
		l.Add(all[0], func(err error) { over.Add(1) })
		if over.Load() != peers+1 {
			t.Error("a loop that ended kept a peer")
		}
	}
}
