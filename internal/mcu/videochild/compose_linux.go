package videochild

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/compose"
	"parley/internal/media/payload"
)

// fdReader reads a stream and gathers the descriptors that come with it.
type fdReader struct {
	conn *net.UnixConn
	oob  [256]byte
	fds  []int
}

func (r *fdReader) Read(p []byte) (int, error) {
	n, oobn, _, _, err := r.conn.ReadMsgUnix(p, r.oob[:])
	if oobn > 0 {
		if ms, err := unix.ParseSocketControlMessage(r.oob[:oobn]); err == nil {
			for i := range ms {
				if fds, err := unix.ParseUnixRights(&ms[i]); err == nil {
					r.fds = append(r.fds, fds...)
				}
			}
		}
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// composerMemory bounds a composer: canvases, encoders and their references.
const composerMemory = 1 << 30

// composerProcess is a composer's process: it owns the clock and the loop.
type composerProcess struct {
	conn  *net.UnixConn
	mu    sync.Mutex // guards comp and films
	comp  *compose.Composer
	films map[int]*mapping

	complained time.Duration // last told of an encoder that failed

	wmu sync.Mutex // guards out
	out []byte
}

func composeMain(conn *net.UnixConn) {
	for _, c := range []payload.Codec{payload.VP8, payload.H264} {
		_ = videocodec.CanEncode(c)
	}
	confine(512, composerMemory)
	p := &composerProcess{conn: conn, films: map[int]*mapping{}}
	p.comp = compose.New(threadCPU, p.failed)
	go func() {
		p.read()
		conn.Close()
	}()
	p.loop()
}

// loop ticks at 1/30 s on the monotonic clock. A tick that comes a period late
// is left out, so that the composer never works on a queue of the past.
func (p *composerProcess) loop() {
	const period = time.Second / compose.TickRate
	start, k := monotonic(), int64(0)
	told := start
	var late, ticks uint32
	var encoded uint64
	timer := time.NewTimer(0)
	<-timer.C
	for {
		due := start + time.Duration(k)*time.Second/compose.TickRate
		if wait := due - monotonic(); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		} else if behind := int64(-wait / period); behind > 0 {
			late += uint32(behind)
			k += behind
			continue
		}
		p.mu.Lock()
		out := p.comp.Tick()
		err := p.send(out, due)
		p.mu.Unlock()
		ticks++
		if k++; err != nil {
			return
		}
		if now := monotonic(); now-told >= time.Second {
			told = now
			p.mu.Lock()
			l := p.comp.Load()
			p.mu.Unlock()
			encoded += uint64(l.Encoded)
			m := Load{Busy: uint64(l.Busy), Codec: uint64(l.Codec), CPU: uint64(processCPU()), Ticks: ticks, Late: late, Encoded: encoded}
			ticks, late = 0, 0
			if p.write(func(b []byte) []byte { return m.append(b) }) != nil {
				return
			}
		}
	}
}

func (p *composerProcess) write(f func([]byte) []byte) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.out = f(p.out[:0])
	_, err := p.conn.Write(p.out)
	return err
}

func (p *composerProcess) send(out []compose.Coded, due time.Duration) error {
	for _, o := range out {
		c := Coded{Stream: o.Stream, Key: o.Key, W: o.W, H: o.H, TS: o.TS, Due: int64(due), Data: o.Data}
		if len(c.Data) > payload.MaxUnit {
			continue
		}
		if err := p.write(func(b []byte) []byte { return append(c.appendHead(b), c.Data...) }); err != nil {
			return err
		}
	}
	return nil
}

// failed is told once a second at most: an encoder is tried again every tick.
func (p *composerProcess) failed(stream uint32, err error) {
	if now := monotonic(); now-p.complained < time.Second && p.complained > 0 {
		return
	} else {
		p.complained = now
	}
	text := err.Error()
	text = text[:min(len(text), 200)]
	_ = p.write(func(b []byte) []byte {
		b = head(b, kindFailed, 4+len(text))
		return append(binary.BigEndian.AppendUint32(b, stream), text...)
	})
}

// read takes commands until the server closes the pair.
func (p *composerProcess) read() {
	fr := &fdReader{conn: p.conn}
	in := reader{r: fr, max: maxScene}
	for {
		kind, b, err := in.next()
		if err != nil {
			return
		}
		p.mu.Lock()
		ok := p.command(kind, b, fr)
		p.mu.Unlock()
		if !ok {
			return
		}
	}
}

func (p *composerProcess) command(kind byte, b []byte, fr *fdReader) bool {
	if kind == kindScene {
		var s compose.Scene
		if json.Unmarshal(b, &s) != nil {
			return false
		}
		p.comp.Set(s)
		return true
	}
	if len(b) < 4 {
		return false
	}
	id := binary.BigEndian.Uint32(b)
	switch kind {
	case kindMap:
		return p.mapSource(int(id), fr)
	case kindUnmap:
		p.unmap(int(id))
	case kindKey:
		p.comp.Key(id)
	case kindRate:
		if len(b) < 8 {
			return false
		}
		p.comp.Rate(id, int(binary.BigEndian.Uint32(b[4:])))
	case kindNew:
		_ = p.send(p.comp.Frame(id), monotonic())
	}
	return true
}

func (p *composerProcess) unmap(source int) {
	if m := p.films[source]; m != nil {
		p.comp.SetFilm(source, nil)
		m.close()
		delete(p.films, source)
	}
}

func (p *composerProcess) mapSource(source int, fr *fdReader) bool {
	if len(fr.fds) == 0 {
		return false
	}
	fd := fr.fds[0]
	fr.fds = fr.fds[1:]
	m, err := mapFilm(fd, false)
	_ = unix.Close(fd)
	if err != nil {
		return false
	}
	p.unmap(source)
	p.films[source] = m
	p.comp.SetFilm(source, m)
	return true
}
