package dtls

import (
	"bytes"
	"encoding/binary"
	mrand "math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

func rec(kind byte, epoch uint16, seq uint64, body []byte) []byte {
	b := make([]byte, recordHeader, recordHeader+len(body))
	b[0], b[1], b[2] = kind, 0xFE, 0xFD
	binary.BigEndian.PutUint64(b[3:], seq)
	binary.BigEndian.PutUint16(b[3:], epoch)
	binary.BigEndian.PutUint16(b[11:], uint16(len(body)))
	return append(b, body...)
}

func hs(kind byte, length, seq, off int, frag []byte) []byte {
	n := len(frag)
	b := []byte{kind, byte(length >> 16), byte(length >> 8), byte(length), byte(seq >> 8), byte(seq),
		byte(off >> 16), byte(off >> 8), byte(off), byte(n >> 16), byte(n >> 8), byte(n)}
	return append(b, frag...)
}

// helloBody is a ClientHello; good ones are acceptable but for their random.
func helloBody(t testing.TB, suites []uint16, srtp bool) []byte {
	t.Helper()
	m := &handshake.MessageClientHello{Version: protocol.Version1_2, CipherSuiteIDs: suites,
		CompressionMethods: []*protocol.CompressionMethod{{}},
		Extensions:         []extension.Extension{&extension.UseExtendedMasterSecret{Supported: true}}}
	if srtp {
		m.Extensions = append(m.Extensions, &extension.UseSRTP{ProtectionProfiles: profiles})
	}
	_ = m.Random.Populate()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// foreign returns one hostile datagram of many kinds, never one that is
// acceptable as the first ClientHello.
func foreign(t testing.TB, rng *mrand.Rand) []byte {
	null := helloBody(t, []uint16{0x0000, 0x0001}, true) // TLS_NULL_WITH_NULL_NULL
	seq := uint64(rng.IntN(1 << 20))
	junk := make([]byte, rng.IntN(600))
	for i := range junk {
		junk[i] = byte(rng.Uint32())
	}
	switch rng.IntN(14) {
	case 0:
		return rec(contentHandshake, 0, seq, hs(1, len(null), 0, 0, null))
	case 1: // one fragment of a hello, never finished
		return rec(contentHandshake, 0, seq, hs(1, 200+rng.IntN(3000), 0, 0, null[:30]))
	case 2: // 16 MiB handshake length
		return rec(contentHandshake, 0, seq, hs(11, 1<<24-1, 1, 0, junk))
	case 3: // zero-length and overlapping fragments
		return rec(contentHandshake, 0, seq, append(hs(11, 500, 1, 0, nil), hs(11, 500, 1, 400, make([]byte, 200))...))
	case 4: // plaintext fatal alert and close_notify
		return append(rec(contentAlert, 0, seq, []byte{2, 40}), rec(contentAlert, 0, seq+1, []byte{1, 0})...)
	case 5: // application data in clear
		return rec(contentData, 0, seq, junk)
	case 6: // epoch jump
		return rec(contentHandshake, uint16(2+rng.IntN(60000)), seq, junk)
	case 7: // forged encrypted records
		return rec(byte(20+rng.IntN(5)), 1, seq, append(junk, 1))
	case 8: // ChangeCipherSpec of the wrong form
		return rec(contentCCS, 0, seq, append([]byte{2}, junk...))
	case 9: // header lies about length
		b := rec(contentHandshake, 0, seq, junk)
		binary.BigEndian.PutUint16(b[11:], uint16(rng.Uint32()))
		return b
	case 10: // acceptable but for the missing use_srtp
		h := helloBody(t, []uint16{0xC02B}, false)
		return rec(contentHandshake, 0, seq, hs(1, len(h), 0, 0, h))
	case 11: // DTLS 1.3 unified header, CID, heartbeat
		return append([]byte{byte(24 + rng.IntN(40)), 0xFE, 0xFD}, junk...)
	case 12: // HelloRequest
		return rec(contentHandshake, 0, seq, hs(0, 0, 0, 0, nil))
	default:
		return junk
	}
}

// TestA1_D1: both sides get a hundred hostile datagrams around each real one,
// before, during and after the handshake; it succeeds and data still flows.
func TestA1_D1_JunkNeverEndsHandshakeOrConnection(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		t.Logf("seed %d", seed)
		rng := mrand.New(mrand.NewPCG(seed, 42))
		var mu sync.Mutex
		flood := func(c *Conn, d []byte) {
			mu.Lock()
			var bad [][]byte
			for range 100 {
				bad = append(bad, foreign(t, rng))
			}
			mu.Unlock()
			for _, b := range bad[:50] {
				c.HandleDatagram(b)
			}
			c.HandleDatagram(d)
			for _, b := range bad[50:] {
				c.HandleDatagram(b)
			}
		}
		keep := func(c *Config) { c.KeepData = true }
		p := start(t, pairOptions{client: keep, server: keep, toServer: flood, toClient: flood})
		p.mustConnect(t)
		for i := range 5 {
			echo(t, p, byte(i))
		}
		p.close()
	}
}

func echo(t *testing.T, p *pair, n byte) {
	t.Helper()
	c, s := p.client.Data(), p.server.Data()
	if _, err := c.Write([]byte{n, 1}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if k, err := s.Read(b); err != nil || !bytes.Equal(b[:k], []byte{n, 1}) {
		t.Fatalf("%v %v", b[:k], err)
	}
}

// TestA1_ForeignHelloAfterOurs: a perfectly acceptable hello of somebody else
// does not disturb a handshake that has begun.
func TestA1_ForeignHelloAfterOursIsDropped(t *testing.T) {
	p := start(t, pairOptions{toServer: func(s *Conn, d []byte) {
		s.HandleDatagram(d)
		h := helloBody(t, []uint16{0xC02B}, true)
		s.HandleDatagram(rec(contentHandshake, 0, 99, hs(1, len(h), 0, 0, h)))
	}})
	p.mustConnect(t)
}

// TestFragmentedHello cuts the real ClientHello in three, out of order and
// overlapping, among forged fragments.
func TestFragmentedHelloIsReassembled(t *testing.T) {
	null := helloBody(t, []uint16{0}, true)
	p := start(t, pairOptions{toServer: func(s *Conn, d []byte) {
		r, _, _ := nextRecord(d)
		h, body, _, ok := nextMessage(r.body)
		if !ok || h.kind != typeClientHello {
			s.HandleDatagram(d)
			return
		}
		n := len(body)
		for i, cut := range [][2]int{{2 * n / 3, n}, {n / 4, 3 * n / 4}, {0, n / 3}} {
			s.HandleDatagram(rec(contentHandshake, 0, uint64(100+i), hs(1, n+7, 0, 0, null[:20])))
			s.HandleDatagram(rec(contentHandshake, 0, uint64(10+i), hs(1, n, h.seq, cut[0], body[cut[0]:cut[1]])))
		}
	}})
	p.mustConnect(t)
}

// TestD12: a peer that sends pieces without end holds little.
func TestD12_PendingIsBounded(t *testing.T) {
	c := NewPool(Limits{}).Start(Config{Identity: newIdentity(t), Send: func([]byte) {}, Done: func(Keys, error) {}})
	defer c.Close()
	for i := range 20000 {
		c.HandleDatagram(rec(contentHandshake, 0, uint64(i), hs(1, 100+i%4000, 0, 0, make([]byte, 30))))
	}
	held := 0
	for _, a := range c.filter.hellos {
		held += len(a.body) + len(a.have)
	}
	if c.state != stateWaiting || held > 2*maxAssemblies*maxHello {
		t.Fatalf("state %v, held %d", c.state, held)
	}
}

func TestD12_PipeIsBounded(t *testing.T) {
	p := newPipe(func([]byte) {}, false)
	for range 1000 {
		p.push(make([]byte, 1200))
	}
	if p.bytes > 64<<10 || len(p.queue) > pipeCount {
		t.Fatalf("%d bytes in %d datagrams", p.bytes, len(p.queue))
	}
}

func FuzzFilter(f *testing.F) {
	rng := mrand.New(mrand.NewPCG(1, 1))
	for range 40 {
		f.Add(foreign(f, rng), true)
		f.Add(foreign(f, rng), false)
	}
	h := helloBody(f, []uint16{0xC02B}, true)
	f.Add(rec(contentHandshake, 0, 1, hs(1, len(h), 0, 0, h)), false)
	f.Fuzz(func(t *testing.T, b []byte, client bool) {
		g := &filter{client: client}
		for range 3 {
			out := g.pass(b)
			for rest := out; len(rest) > 0; {
				r, next, ok := nextRecord(rest)
				if !ok || r.epoch > 1 || r.epoch == 0 && (r.kind == contentAlert || r.kind == contentData) {
					t.Fatalf("passed %x", out)
				}
				rest = next
			}
		}
		held := 0
		for _, a := range g.hellos {
			held += len(a.body)
		}
		if held > maxAssemblies*maxHello {
			t.Fatal("held too much")
		}
		holdsCCS(b)
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func heapOnly() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC() // sync.Pool lets go in the second
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory logs what one association holds in each state (limits.md,
// section 6); the bounds are loose, the log is the figure.
func TestMemoryOfAnAssociation(t *testing.T) {
	const n = 100
	id, pool := newIdentity(t), NewPool(Limits{})
	before, conns := heap(), make([]*Conn, n)
	for i := range conns {
		conns[i] = pool.Start(Config{Identity: id, Send: func([]byte) {}, Done: func(Keys, error) {}})
	}
	waiting := (heap() - before) / n
	h := helloBody(t, []uint16{0xC02B}, true)
	sent := make(chan struct{}, n*100)
	for i := range conns {
		conns[i].Close()
		conns[i] = pool.Start(Config{Identity: id, Done: func(Keys, error) {}, Send: func([]byte) {
			select {
			case sent <- struct{}{}:
			default:
			}
		}})
		conns[i].HandleDatagram(rec(contentHandshake, 0, 1, hs(1, len(h), 0, 0, h)))
	}
	for range n {
		<-sent
	}
	half := (heap() - before) / n
	goroutines := runtime.NumGoroutine()
	for _, c := range conns {
		c.Close()
	}
	t.Logf("per association: waiting for hello %d B, half open %d B with %.1f goroutines", waiting, half, float64(goroutines)/n)
	for _, keep := range []bool{false, true} {
		total := heap()
		var pairs []*pair
		g := runtime.NumGoroutine()
		for range 20 {
			p := start(t, pairOptions{server: func(c *Config) { c.KeepData = keep }, client: func(c *Config) { c.KeepData = keep }})
			p.mustConnect(t)
			pairs = append(pairs, p)
		}
		per := int64(heap()-total) / 40
		g = runtime.NumGoroutine() - g - 40 // the two wires of each pair
		t.Logf("finished, kept=%v: %d B per association with its identity and test wires (100 kB of channel each), %.1f goroutines",
			keep, per, float64(g)/40)
		for _, p := range pairs {
			p.close()
		}
	}
	if waiting > 16<<10 || half > 256<<10 {
		t.Fatal("too much memory")
	}
}

func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p := start(b, pairOptions{})
		p.mustConnect(b)
		p.close()
	}
}

// TestL3: what a finished and detached association leaves behind, measured
// alone: no goroutine, about a kilobyte.
func TestL3_DetachedAssociationIsSmall(t *testing.T) {
	const n = 200
	pool := NewPool(Limits{})
	sid, cid := newIdentity(t), newIdentity(t)
	// Handshakes run one after the other over a synchronous exchange that is
	// dropped afterwards; only the server Conns stay.
	kept := make([]*Conn, n)
	for range 20 { // fill the pools of libraries and runtime
		oneHandshake(t, pool, sid, cid).Close()
	}
	g, before := runtime.NumGoroutine(), heapOnly()
	for i := range kept {
		kept[i] = oneHandshake(t, pool, sid, cid)
	}
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > g && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	per := (int64(heapOnly()) - int64(before)) / n
	t.Logf("detached: %d B each, %d goroutines more", per, runtime.NumGoroutine()-g)
	if extra := runtime.NumGoroutine() - g; extra > 0 {
		t.Fatalf("%d goroutines left", extra)
	}
	if per > 8<<10 {
		t.Fatalf("%d bytes each", per)
	}
	runtime.KeepAlive(kept)
}

func oneHandshake(t *testing.T, pool *Pool, sid, cid *Identity) *Conn {
	t.Helper()
	res := make(chan result, 2)
	done := func(k Keys, err error) { res <- result{k, err} }
	toServer, toClient := make(chan []byte, 64), make(chan []byte, 64)
	quit := make(chan struct{})
	send := func(ch chan []byte) func([]byte) {
		return func(d []byte) {
			select {
			case ch <- d:
			default:
			}
		}
	}
	s := pool.Start(Config{Identity: sid, Fingerprints: fingerprints(cid), Send: send(toClient), Done: done})
	c := pool.Start(Config{Identity: cid, Fingerprints: fingerprints(sid), Client: true, Send: send(toServer), Done: done})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case d := <-toServer:
				s.HandleDatagram(d)
			case d := <-toClient:
				c.HandleDatagram(d)
			case <-quit:
				return
			}
		}
	}()
	for range 2 {
		if r := wait(t, res); r.err != nil {
			t.Fatal(r.err)
		}
	}
	c.Close()
	close(quit)
	wg.Wait()
	s.cfg.Send, s.cfg.Done = func([]byte) {}, func(Keys, error) {}
	return s
}
