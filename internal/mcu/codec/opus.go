package codec

import "fmt"

// opusRate is the rate everything Opus is decoded to and encoded from.
const opusRate = 48000

// opusSamples returns how many samples at 48 kHz a packet holds by its table of
// contents (RFC 6716, section 3), 0 if it breaks a rule that can be seen there.
func opusSamples(p []byte) int {
	if len(p) == 0 || len(p) > MaxPayload {
		return 0
	}
	frames := 1
	switch p[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(p) < 2 {
			return 0
		}
		frames = int(p[1] & 63)
	}
	n := frames * opusFrame(p[0]>>3)
	if n > opusRate/1000*MaxMillis {
		return 0
	}
	return n
}

// opusFrame is the frame size of a configuration (RFC 6716, table 2).
func opusFrame(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	}
	return 120 << (config & 3) // CELT: 2.5, 5, 10, 20 ms
}

// safely turns a panic of a decoder into an error: a stranger's packet may cost
// its sender a frame, nothing else.
func safely(f func() (int, error)) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return f()
}

const (
	// complexity of the encoders: beyond 5 the cost of mono speech more than
	// doubles for a gain few hear (docs/benchmarks.md).
	complexity = 5
	// dtxTOC is a packet without sound: SILK, wideband, 20 ms, mono, one empty frame.
	dtxTOC = 9 << 3
)
