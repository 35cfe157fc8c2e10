// Package picture is what the video mixer draws with: frames in I420, scaling,
// tiles of a layout, names and marks. It decodes and encodes nothing.
//
// Pure Go without goroutines or clocks; a Frame belongs to one goroutine at a
// time. Sizes and positions are even, since chroma has half the resolution.
package picture
