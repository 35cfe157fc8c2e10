package focus

import (
	"slices"

	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// slot is a section whose SSRC stays while its source changes (media-switching,
// RFC 7667, section 3.6.2).
type slot struct {
	sub   ids.Subscription
	track ids.Track // source now, or a mix; empty: none
	n     int       // slot:n
	fed   bool      // the media side knows it
}

func newSlot() *slot { return &slot{sub: ids.NewSubscription()} }

// fillSlots chooses the source of each slot of one kind. The rules: the k-th
// source in order of joining fills the k-th slot; a source keeps its slot while
// it lives; an emptied slot takes the oldest source without one; when there are
// more sources than slots, a speaker that has none takes the slot of the source
// that spoke longest ago. Sources come in order of joining, speakers loudest
// first; spoke tells how long ago a source was last a speaker, larger is
// longer. The result has one entry per slot.
func fillSlots(now []ids.Track, sources, speakers []ids.Track, spoke func(ids.Track) int) []ids.Track {
	out := make([]ids.Track, len(now))
	taken := map[ids.Track]bool{}
	for i, t := range now {
		if t != "" && slices.Contains(sources, t) {
			out[i], taken[t] = t, true
		}
	}
	for i := range out {
		if out[i] != "" {
			continue
		}
		for _, t := range sources {
			if !taken[t] {
				out[i], taken[t] = t, true
				break
			}
		}
	}
	for _, t := range speakers[:min(len(speakers), len(out))] {
		if taken[t] || !slices.Contains(sources, t) {
			continue
		}
		if i := quietest(out, speakers[:min(len(speakers), len(out))], spoke); i >= 0 {
			delete(taken, out[i])
			out[i], taken[t] = t, true
		}
	}
	return out
}

// quietest finds the slot whose source spoke longest ago and is none of keep;
// of equals the last slot, so that the first stay as they are.
func quietest(slots, keep []ids.Track, spoke func(ids.Track) int) int {
	best, age := -1, -1
	for i, t := range slots {
		if slices.Contains(keep, t) {
			continue
		}
		if a := spoke(t); a >= age {
			best, age = i, a
		}
	}
	return best
}

// order of joining: the participant's, then that of publishing.
func joinOrder(a, b *model.Track) int {
	if a.Device.Part.Order != b.Device.Part.Order {
		return int(a.Device.Part.Order) - int(b.Device.Part.Order)
	}
	return int(a.Order) - int(b.Order)
}
