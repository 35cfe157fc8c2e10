package alloc

import "math"

// Rung is one operating point of a source.
type Rung struct {
	// Level tells rungs of one source apart; alloc only compares it for equality.
	Level         int32
	Rate          uint64 // bit/s
	Width, Height uint16 // pixels; 0: not known
	FPS           uint8  // 0: not known
	// Part is equal for rungs that are reached from each other without a key frame.
	Part int16

	worth float64
}

// fullFPS is the frame rate beyond which smoother motion counts for nothing here;
// below fluentFPS it is no motion but a row of pictures, and a larger one makes
// not up for it: a change of encoding, which takes a key frame, is no gain.
const (
	fullFPS   = 30
	fluentFPS = 15
)

// Weigh prepares a ladder, cheapest first, for any number of demands. It must be
// called again when a rung changed.
func Weigh(ladder []Rung) {
	for i := range ladder {
		ladder[i].worth = ladder[i].weigh()
	}
}

// weigh is what a rung shows: the side of its picture, so that each doubling of
// the side is worth more than the one before but less per bit, since its cost
// grows by three to four times; the root of the frame rate likewise while motion is fluent. Without a size the
// rate stands in for it by the same law.
func (r *Rung) weigh() float64 {
	side := math.Sqrt(float64(r.Width) * float64(r.Height))
	switch {
	case r.Width != 0 && r.Height != 0:
	case r.Width != 0 || r.Height != 0:
		side = 0.75 * float64(max(r.Width, r.Height)) // 16:9
	default:
		side = math.Sqrt(float64(r.Rate))
	}
	if fps := float64(r.FPS); fps != 0 && fps < fullFPS {
		side *= math.Sqrt(max(fps, fluentFPS)/fullFPS) * min(1, fps/fluentFPS)
	}
	return side
}

// enough reports whether the rung fills a picture of that size, black bars
// aside: one side suffices. A size of 0 is not asked for.
func (r *Rung) enough(width, height int) bool {
	w := width > 0 && r.Width != 0 && int(r.Width) >= width
	h := height > 0 && r.Height != 0 && int(r.Height) >= height
	return w || h
}
