package model

import "slices"

// maxChanges bounds the record of changed rows. Who is further behind walks the
// roster once; a larger record would only cost memory.
const maxChanges = 4096

// changes records which rows of the roster each revision touched, so that a
// document is brought up to date without walking everybody.
type changes struct {
	list  []change
	since uint64 // what happened up to this revision is not in the list any more
}

type change struct {
	rev  uint64
	user string
}

// RowChanged records that the row of user changed, came or went at the
// conference's present revision.
func (c *Conference) RowChanged(user string) {
	l := &c.changes
	if len(l.list) >= maxChanges {
		half := len(l.list) / 2
		l.since = l.list[half-1].rev
		l.list = slices.Delete(l.list, 0, half)
	}
	l.list = append(l.list, change{c.Rev, user})
}

// ChangedSince appends to buf the users whose rows changed after revision rev,
// possibly more than once; false if that is too long ago to be known.
func (c *Conference) ChangedSince(rev uint64, buf []string) ([]string, bool) {
	l := &c.changes
	if rev < l.since {
		return buf, false
	}
	for i := len(l.list) - 1; i >= 0 && l.list[i].rev > rev; i-- {
		buf = append(buf, l.list[i].user)
	}
	return buf, true
}
