package focus

import (
	"slices"
	"testing"

	"parley/internal/base/ids"
)

func TestFillSlots(t *testing.T) {
	list := func(s string) []ids.Track {
		var out []ids.Track
		for _, r := range s {
			if r == '-' {
				out = append(out, "")
			} else {
				out = append(out, ids.Track(r))
			}
		}
		return out
	}
	rows := []struct{ name, now, sources, speakers, recent, want string }{
		{"in order of joining", "---", "abc", "", "", "abc"},
		{"fewer sources than slots", "---", "a", "", "", "a--"},
		{"a later one fills the empty slot", "a--", "ab", "", "", "ab-"},
		{"who is there stays, whatever the order", "ba-", "abc", "", "", "bac"},
		{"an emptied slot takes the oldest without one", "abc", "bcde", "", "", "dbc"},
		{"a speaker in a slot changes nothing", "ab", "abc", "b", "b", "ab"},
		{"a speaker takes the slot of who spoke longest ago", "abc", "abcd", "d", "dab", "abd"},
		{"of those who never spoke the last", "abc", "abcd", "d", "d", "abd"},
		{"a speaker never puts out another speaker", "ab", "abc", "ac", "ac", "ac"},
		{"one slot follows the loudest", "a", "abc", "cb", "cb", "c"},
		{"a speaker that is no source is ignored", "a-", "ab", "z", "", "ab"},
		{"no source at all", "ab", "", "", "", "--"},
		{"no slot at all", "", "ab", "a", "", ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			age := func(k ids.Track) int {
				if i := slices.Index(list(r.recent), k); i >= 0 {
					return i
				}
				return 99
			}
			if got := fillSlots(list(r.now), list(r.sources), list(r.speakers), age); !slices.Equal(got, list(r.want)) {
				t.Errorf("got %q, want %q", got, list(r.want))
			}
		})
	}
}
