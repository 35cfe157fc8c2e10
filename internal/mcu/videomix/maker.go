package videomix

import (
	"runtime"
	"sync/atomic"

	"parley/internal/base/fault"
	"parley/internal/mcu"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/videochild"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

// Config of video mixing.
type Config struct {
	// Nice of the processes, below the server's priority; 0: 19, at which they run
	// in the scheduler's idle class, after everything else.
	Nice int
	// MaxWidth and MaxHeight are the largest picture decoded, either way round;
	// 0: 1920 × 1088. What claims more is refused before anything is allocated.
	MaxWidth, MaxHeight int
	// MaxSources is how many sources of one conference are decoded at a time; 0: 25.
	MaxSources int
	// MaxProcesses is how many processes the node runs for video; 0: 50 a core.
	// Each has some 12 MiB, and a core does not decode more small pictures.
	MaxProcesses int

	running  *atomic.Int64 // processes of all halves of a maker
	strained *atomic.Int64 // halves that have given up all they can
}

func (c Config) withDefaults() Config {
	if c.Nice == 0 {
		c.Nice = 19
	}
	if c.MaxWidth == 0 {
		c.MaxWidth = 1920
	}
	if c.MaxHeight == 0 {
		c.MaxHeight = 1088
	}
	if c.MaxSources == 0 {
		c.MaxSources = 25
	}
	if c.MaxProcesses == 0 {
		c.MaxProcesses = 50 * runtime.NumCPU()
	}
	c.running, c.strained = new(atomic.Int64), new(atomic.Int64)
	return c
}

// take reserves a process; false: the node has enough of them.
func (c *Config) take() bool {
	if c.running.Add(1) > int64(c.MaxProcesses) {
		c.running.Add(-1)
		return false
	}
	return true
}

// NewMaker makes the video side of a mixer.
func NewMaker(c Config) mcu.Maker {
	c = c.withDefaults()
	return mcu.Maker{Can: Can, New: func(h mcu.HalfConfig) mcu.Half { return newHalf(c, h) }}
}

// Can tells whether a codec can be made here; 503 codec-missing names the
// packages to install.
func Can(c plane.Codec) error {
	if !videochild.Available {
		return fault.New(503, "codec-missing", "video mixing needs Linux")
	}
	return videocodec.CanEncode(payload.ByName(c.Name))
}
