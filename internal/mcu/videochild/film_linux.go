package videochild

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"parley/internal/mcu/picture"
)

// A film is shared memory with the last three frames of a source: a page with
// the number of the newest and each slot's size, then the slots. The decoder
// writes, composers read. Nothing is locked: a frame that is overwritten while
// it is read (two newer ones within a millisecond) is a torn tile for one picture.
const (
	filmSlots = 3
	filmPage  = 4096
	metaAt    = 64
	metaLen   = 32
)

// Film is the server's handle: the memory, which it never maps.
type Film struct {
	f   *os.File
	max int // pixels of a frame
}

func slotSize(pixels int) int { return (pixels*3/2 + filmPage - 1) &^ (filmPage - 1) }

func filmSize(pixels int) int { return filmPage + filmSlots*slotSize(pixels) }

// NewFilm makes memory for frames of up to so many pixels; it costs what is used.
func NewFilm(pixels int) (*Film, error) {
	fd, err := unix.MemfdCreate("parley-film", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("videochild: shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "film")
	if err := f.Truncate(int64(filmSize(pixels))); err != nil {
		f.Close()
		return nil, fmt.Errorf("videochild: shared memory: %w", err)
	}
	// A decoder gone bad must not take the memory away under its readers.
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		f.Close()
		return nil, fmt.Errorf("videochild: shared memory: %w", err)
	}
	return &Film{f: f, max: pixels}, nil
}

// Close gives the handle up; processes that have mapped it keep theirs.
func (f *Film) Close() { _ = f.f.Close() }

// mapping is a mapped film.
type mapping struct {
	b     []byte
	slot  int
	frame picture.Frame
}

func mapFilm(fd int, write bool) (*mapping, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size < filmPage+filmSlots*filmPage || st.Size > 1<<28 {
		return nil, fmt.Errorf("videochild: a film of %d bytes", st.Size)
	}
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &mapping{b: b, slot: (int(st.Size) - filmPage) / filmSlots}, nil
}

func (m *mapping) close() { _ = unix.Munmap(m.b) }

func (m *mapping) latest() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&m.b[8])) }

func (m *mapping) meta(slot int) (w, h, ts *uint32) {
	at := metaAt + slot*metaLen
	return (*uint32)(unsafe.Pointer(&m.b[at])), (*uint32)(unsafe.Pointer(&m.b[at+4])), (*uint32)(unsafe.Pointer(&m.b[at+8]))
}

func (m *mapping) at(slot int) []byte {
	s := filmPage + slot*m.slot
	return m.b[s : s+m.slot]
}

// show puts a frame on the film, turned upright; false if it is too large.
func (m *mapping) show(f *picture.Frame, ts uint32, turn byte) bool {
	if f.W < 2 || f.H < 2 || picture.Bytes(f.W, f.H) > m.slot {
		return false
	}
	n := m.latest().Load() + 1
	slot := int(n % filmSlots)
	fw, fh := f.W, f.H
	if turn&1 == 1 {
		fw, fh = fh, fw
	}
	picture.Wrap(m.at(slot), fw, fh).CopyTurned(f, int(turn))
	w, h, t := m.meta(slot)
	*w, *h, *t = uint32(fw), uint32(fh), ts
	m.latest().Store(n)
	return true
}

// Latest implements compose.Film. What is read was written by a process that
// strangers may have taken over: sizes are checked, pixels are harmless.
func (m *mapping) Latest() (*picture.Frame, uint64, uint32) {
	n := m.latest().Load()
	if n == 0 {
		return nil, 0, 0
	}
	slot := int(n % filmSlots)
	wp, hp, tp := m.meta(slot)
	w, h := int(atomic.LoadUint32(wp)), int(atomic.LoadUint32(hp))
	if w < 2 || h < 2 || (w|h)&1 != 0 || w > 1<<14 || h > 1<<14 || picture.Bytes(w, h) > m.slot {
		return nil, 0, 0
	}
	m.frame = *picture.Wrap(m.at(slot), w, h)
	return &m.frame, n, atomic.LoadUint32(tp)
}
