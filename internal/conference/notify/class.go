package notify

import (
	"slices"

	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// maxJournal bounds what a class remembers for slow subscribers; one that is
// further behind gets a full document.
const maxJournal = 1024

// classKey is what role and privacy come to.
type classKey struct {
	group info.Group
	self  string // who waits sees nobody else: a class of one
}

// class is a view with its present state and its past.
type class struct {
	view  info.View
	rev   uint64            // the revision it was brought up to
	head  *info.Document    // all but the roster
	rows  map[string]*row   // by entity as this view names it
	names map[string]string // user → entity
	bytes [info.Formats]int // of all rows; kept for a form once it is used
	used  [info.Formats]bool
	log   []step
	base  uint64 // position of log[0]
	need  int    // subscriptions

	made  map[cacheKey]*info.Encoded // for the present position
	stale []string                   // scratch
}

// row is one line of the roster with its wire forms, made when wanted.
type row struct {
	user *info.User
	wire [info.Formats][]byte
}

// step is what a change replaced.
type step struct {
	head *info.Document
	rows []info.RowChange
}

type cacheKey struct {
	format info.Format
	full   bool
	from   uint64
}

func newClass(v info.View) *class { return &class{view: v} }

// position counts the visible changes so far.
func (k *class) position() uint64 { return k.base + uint64(len(k.log)) }

// update brings the class up to the conference's revision.
func (k *class) update(c *model.Conference, users int) {
	if k.head != nil && k.rev == c.Rev {
		return
	}
	head := info.Head(c, users, k.view)
	changed, known := c.ChangedSince(k.rev, k.stale[:0])
	if k.head == nil || !known {
		changed = k.everybody(c, changed[:0])
	}
	k.stale = changed[:0]
	first := k.head == nil
	if first {
		k.head, k.rows, k.names = head, map[string]*row{}, map[string]string{}
	}
	slices.Sort(changed)
	var rows []info.RowChange
	for _, user := range slices.Compact(changed) {
		rows = k.change(c, user, rows)
	}
	k.rev = c.Rev
	if first || len(rows) == 0 && info.SameHead(k.head, head) {
		return
	}
	k.log = append(k.log, step{k.head, rows})
	k.head = head
	if len(k.log) > maxJournal {
		n := len(k.log) / 2
		k.log, k.base = slices.Delete(k.log, 0, n), k.base+uint64(n)
	}
	clear(k.made)
}

// everybody lists who is, or was, in the roster.
func (k *class) everybody(c *model.Conference, buf []string) []string {
	for user := range c.Participants {
		buf = append(buf, user)
	}
	for user := range k.names {
		buf = append(buf, user)
	}
	return buf
}

// change takes one user's row up. Somebody who came back has another alias, so
// that two rows may change.
func (k *class) change(c *model.Conference, user string, rows []info.RowChange) []info.RowChange {
	var now *info.User
	name := ""
	if p := c.Participants[user]; p != nil && k.view.Sees(p) {
		now, name = info.Row(c, p, k.view), k.view.Name(c, user)
	}
	if old := k.names[user]; old != "" && old != name {
		rows = append(rows, info.RowChange{Entity: old, Old: k.rows[old].user})
		k.put(old, nil)
		delete(k.names, user)
	}
	if now == nil {
		return rows
	}
	k.names[user] = name
	was := k.rows[name]
	switch {
	case was == nil:
		rows = append(rows, info.RowChange{Entity: name, New: now})
	case info.SameRow(was.user, now):
		return rows
	default:
		rows = append(rows, info.RowChange{Entity: name, Old: was.user, New: now})
	}
	k.put(name, now)
	return rows
}

// put replaces a row and keeps account of the bytes.
func (k *class) put(name string, u *info.User) {
	old := k.rows[name]
	for f := range k.bytes {
		if k.used[f] && old != nil {
			k.bytes[f] -= len(k.wire(name, old, info.Format(f)))
		}
	}
	if u == nil {
		delete(k.rows, name)
		return
	}
	r := &row{user: u}
	k.rows[name] = r
	for f := range k.bytes {
		if k.used[f] {
			k.bytes[f] += len(k.wire(name, r, info.Format(f)))
		}
	}
}

func (k *class) wire(name string, r *row, f info.Format) []byte {
	if r.wire[f] == nil {
		r.wire[f] = info.EncodeRow(name, r.user, f)
	}
	return r.wire[f]
}

// use starts keeping account of a form.
func (k *class) use(f info.Format) {
	if k.used[f] {
		return
	}
	k.used[f], k.bytes[f] = true, 0
	for name, r := range k.rows {
		k.bytes[f] += len(k.wire(name, r, f))
	}
}

func (k *class) cached(key cacheKey, make func() *info.Encoded) *info.Encoded {
	e, ok := k.made[key]
	if !ok {
		if k.made == nil {
			k.made = map[cacheKey]*info.Encoded{}
		}
		e = make()
		k.made[key] = e
	}
	return e
}

// full is the whole document.
func (k *class) full(f info.Format) *info.Encoded {
	return k.cached(cacheKey{format: f, full: true}, func() *info.Encoded {
		k.use(f)
		return info.EncodeFull(k.head, func(yield func([]byte) bool) {
			for name, r := range k.rows {
				if !yield(k.wire(name, r, f)) {
					return
				}
			}
		}, k.bytes[f]+len(k.rows), f)
	})
}

// since is what a subscriber at a position of the journal lacks; nil: nothing.
func (k *class) since(at uint64, f info.Format) *info.Encoded {
	if at < k.base {
		return k.full(f)
	}
	return k.cached(cacheKey{format: f, from: at}, func() *info.Encoded {
		log := k.log[at-k.base:]
		d, whole := info.DiffRows(log[0].head, k.head, k.changes(log))
		switch {
		case whole:
			return k.full(f)
		case d == nil:
			return nil
		}
		e := info.Encode(d, f)
		if k.hardlySmaller(e, f) {
			return k.full(f)
		}
		return e
	})
}

// changes sums the rows of some steps up: as they were before the first of
// them, and as they are now.
func (k *class) changes(log []step) []info.RowChange {
	if len(log) == 1 {
		return log[0].rows
	}
	seen := map[string]bool{}
	var out []info.RowChange
	for i := range log {
		for _, r := range log[i].rows {
			if seen[r.Entity] {
				continue
			}
			seen[r.Entity] = true
			r.New = nil
			if now := k.rows[r.Entity]; now != nil {
				r.New = now.user
			}
			out = append(out, r)
		}
	}
	return out
}

// hardlySmaller is the size rule: a partial document of 0.7 times the size of
// the full one or more is not worth what it asks of the subscriber.
func (k *class) hardlySmaller(partial *info.Encoded, f info.Format) bool {
	k.use(f)
	if 10*partial.Size() < 7*k.bytes[f] { // surely small, without looking at the head
		return false
	}
	return 10*partial.Size() >= 7*k.full(f).Size()
}

// forget drops the journal before a position that nobody is behind.
func (k *class) forget(before uint64) {
	if n := before - k.base; before > k.base && n <= uint64(len(k.log)) {
		k.log, k.base = slices.Delete(k.log, 0, int(n)), before
	}
}
