package udp

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func all(n int) []bool {
	b := make([]bool, n)
	for i := range b {
		b[i] = true
	}
	return b
}

func TestPlanRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int
		pad   []bool
		want  []Run
	}{
		{"nothing", nil, nil, nil},
		{"one", []int{1200}, nil, []Run{{0, 1, 0, 1200, 0}}},
		{"equal", []int{1200, 1200, 1200}, nil, []Run{{0, 3, 1200, 3600, 0}}},
		{"last shorter", []int{1200, 1200, 300}, nil, []Run{{0, 3, 1200, 2700, 0}}},
		{"short in the middle ends a run", []int{1200, 300, 1200}, nil, []Run{{0, 2, 1200, 1500, 0}, {2, 1, 0, 1200, 0}}},
		{"libwebrtc, no padding", []int{1100, 1100, 1101, 1101}, nil, []Run{{0, 2, 1100, 2200, 0}, {2, 2, 1101, 2202, 0}}},
		{"libwebrtc, padded", []int{1100, 1100, 1101, 1101}, all(4), []Run{{0, 4, 1101, 4404, 2}}},
		{"a little short last stays short", []int{1101, 1100}, all(2), []Run{{0, 2, 1101, 2201, 0}}},
		{"two frames", []int{1100, 1101, 1093, 1094}, all(4), []Run{{0, 4, 1101, 4397, 2}}},
		{"too far to pad", []int{1000, 1017}, all(2), []Run{{0, 1, 0, 1000, 0}, {1, 1, 0, 1017, 0}}},
		{"just near enough", []int{1000, 1016}, all(2), []Run{{0, 2, 1016, 2032, 1}}},
		{"one must not be padded", []int{1100, 1100, 1101}, []bool{true, false, true}, []Run{{0, 2, 1100, 2200, 0}, {2, 1, 0, 1101, 0}}},
		{"unpaddable at full size", []int{1100, 1101, 1101}, []bool{true, false, false}, []Run{{0, 3, 1101, 3303, 1}}},
	} {
		if got := PlanRuns(c.sizes, c.pad, nil); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestPlanRunsCaps(t *testing.T) {
	small := make([]int, 200)
	for i := range small {
		small[i] = 100
	}
	runs := PlanRuns(small, nil, nil)
	if len(runs) != 4 || runs[0].Count != 64 || runs[3].Count != 8 {
		t.Errorf("segment cap: %+v", runs)
	}
	for i := range small {
		small[i] = 1472
	}
	for _, r := range PlanRuns(small, nil, nil) {
		if r.Bytes > maxPayload {
			t.Errorf("byte cap: %+v", r)
		}
	}
}

// checkRun holds a run against the rules of UDP_SEGMENT.
func checkRun(t *rapid.T, r Run, sizes []int, pad []bool, maxPad int) {
	if r.Count < 1 || r.Count > maxSegments || r.Bytes > maxPayload {
		t.Fatalf("caps: %+v", r)
	}
	if r.Count == 1 {
		return
	}
	bytes, padded := 0, 0
	for i := r.First; i < r.First+r.Count; i++ {
		d := r.SegSize - sizes[i]
		switch last := i == r.First+r.Count-1; {
		case d < 0:
			t.Fatalf("packet %d larger than segment in %+v", i, r)
		case last:
			bytes += sizes[i]
		case d > 0 && (!pad[i] || d > maxPad):
			t.Fatalf("packet %d needs %d bytes of padding in %+v", i, d, r)
		default:
			bytes += r.SegSize
			if d > 0 {
				padded++
			}
		}
	}
	if bytes != r.Bytes || padded != r.Padded {
		t.Fatalf("%+v: %d bytes, %d padded", r, bytes, padded)
	}
}

func TestPlanRunsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 150).Draw(t, "n")
		base := rapid.IntRange(20, 1470).Draw(t, "base")
		maxPad := rapid.IntRange(0, 20).Draw(t, "maxPad")
		sizes, pad := make([]int, n), make([]bool, n)
		for i := range sizes {
			sizes[i] = base + rapid.IntRange(0, 22).Draw(t, "more")
			pad[i] = rapid.IntRange(0, 9).Draw(t, "pad") > 0
		}
		next := 0
		for _, r := range (Planner{MaxPad: maxPad}).Plan(sizes, pad, nil) {
			if r.First != next {
				t.Fatalf("run starts at %d, want %d", r.First, next)
			}
			checkRun(t, r, sizes, pad, maxPad)
			next += r.Count
		}
		if next != n {
			t.Fatalf("covered %d of %d", next, n)
		}
	})
}

func BenchmarkPlanRuns(b *testing.B) {
	sizes := []int{1100, 1100, 1100, 1101, 1101, 1101, 100}
	pad := all(len(sizes))
	var out []Run
	b.ReportAllocs()
	for b.Loop() {
		out = PlanRuns(sizes, pad, out[:0])
	}
}
