package session

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"parley/api"
	"parley/internal/base/clock"
)

// memory is the idempotency store: what was asked under which id, by hash, and
// what was answered. It survives resume, so that a client may send its
// unanswered requests again without doing anything twice.
type memory struct {
	byID  map[string]*asked
	order []*asked // by arrival
	bytes int
}

type asked struct {
	id     string
	body   [sha256.Size]byte
	at     clock.Time
	answer *api.Response // nil while open
}

func (m *memory) find(id string) *asked { return m.byID[id] }

func (m *memory) add(id string, body [sha256.Size]byte, now clock.Time) *asked {
	if m.byID == nil {
		m.byID = make(map[string]*asked)
	}
	a := &asked{id: id, body: body, at: now}
	m.byID[id] = a
	m.order = append(m.order, a)
	return a
}

func (m *memory) finish(a *asked, r *api.Response) {
	a.answer = r
	m.bytes += size(r)
}

// trim forgets what is too old or too much, oldest first; open ones stay.
func (m *memory) trim(now clock.Time, keep time.Duration, ids int) {
	kept := m.order[:0]
	over := len(m.order) - ids
	for i, a := range m.order {
		stale := now.Sub(a.at) > keep || i < over || m.bytes > maxRemembered
		if a.answer == nil || !stale {
			kept = append(kept, a)
			continue
		}
		m.bytes -= size(a.answer)
		delete(m.byID, a.id)
	}
	clear(m.order[len(kept):])
	m.order = kept
}

// full tells that trim has work, so that it need not run at every request.
// A quarter above the number is left alone, to walk the list once in a while only.
func (m *memory) full(ids int) bool { return len(m.order) > ids+ids/4 || m.bytes > maxRemembered }

func size(r *api.Response) int {
	n := 128 + len(r.Result)
	if r.Error != nil {
		n += len(r.Error.Message)
	}
	return n
}

// bodyOf hashes what makes two requests the same. ack is left out: a request
// sent again after resume confirms more than the first time.
func bodyOf(r *api.Request) [sha256.Size]byte {
	h := sha256.New()
	field(h, r.Method)
	field(h, r.Conf)
	field(h, string(r.Params))
	var tail [17]byte
	binary.BigEndian.PutUint64(tail[:], uint64(r.TTLMs))
	if r.IfRev != nil {
		tail[8] = 1
		binary.BigEndian.PutUint64(tail[9:], *r.IfRev)
	}
	h.Write(tail[:])
	return [sha256.Size]byte(h.Sum(nil))
}

func bodyOfSubscribe(s *api.Subscribe) [sha256.Size]byte {
	h := sha256.New()
	field(h, "\x00subscribe") // no method begins with NUL
	field(h, s.Conf)
	field(h, s.Package)
	field(h, string(s.Filter))
	var tail [9]byte
	if s.ExpiresS != nil {
		tail[0] = 1
		binary.BigEndian.PutUint64(tail[1:], uint64(*s.ExpiresS))
	}
	h.Write(tail[:])
	return [sha256.Size]byte(h.Sum(nil))
}

func field(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}
