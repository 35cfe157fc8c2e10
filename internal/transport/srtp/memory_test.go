package srtp

import (
	"runtime"
	"testing"
)

// A context is cold state of every link, so its size is held. The bound leaves
// room for another Go release's ciphers; what is seen now is logged.
func TestMemoryPerContext(t *testing.T) {
	for _, p := range profiles {
		const n = 500
		keep := make([]any, 0, 2*n)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			s, r := pair(t, p)
			seal(t, s, 1, 1)
			keep = append(keep, s, r)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
		t.Logf("%v: %d bytes for both directions", p, each)
		if each > 6<<10 {
			t.Errorf("%v: %d bytes for both directions", p, each)
		}
		runtime.KeepAlive(keep)
	}
}
