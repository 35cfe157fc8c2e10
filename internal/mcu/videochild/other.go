//go:build !linux

package videochild

import (
	"errors"

	"parley/internal/mcu/compose"
	"parley/internal/media/payload"
)

// Available tells whether this system can run workers.
const Available = false

var errSystem = errors.New("videochild: video mixing needs Linux")

// Settings of workers.
type Settings struct{ Nice int }

// Film does not exist here.
type Film struct{}

// DecoderEvents are a decoder's callbacks.
type DecoderEvents struct {
	Up     func()
	Result func(Result)
	Died   func(error)
}

// Decoder does not exist here.
type Decoder struct{ Film *Film }

// NewDecoder fails.
func NewDecoder(Settings, int, DecoderEvents) (*Decoder, error) { return nil, errSystem }

// Submit refuses.
func (d *Decoder) Submit(payload.Codec, uint8, uint32, []byte) (uint32, bool) { return 0, false }

// Poll does nothing.
func (d *Decoder) Poll() {}

// PID is 0.
func (d *Decoder) PID() int { return 0 }

// Close does nothing.
func (d *Decoder) Close() {}

// ComposerEvents are a composer's callbacks.
type ComposerEvents struct {
	Up     func()
	Coded  func(Coded)
	Load   func(Load)
	Failed func(stream uint32, text string)
	Died   func(error)
}

// Composer does not exist here.
type Composer struct{}

// NewComposer makes one that does nothing.
func NewComposer(Settings, ComposerEvents) *Composer { return &Composer{} }

// Map does nothing; likewise the others.
func (c *Composer) Map(uint32, *Film) {}
func (c *Composer) Unmap(uint32)      {}
func (c *Composer) Set(compose.Scene) {}
func (c *Composer) Key(uint32)        {}
func (c *Composer) Frame(uint32)      {}
func (c *Composer) Rate(uint32, int)  {}
func (c *Composer) PID() int          { return 0 }
func (c *Composer) Close()            {}

// Monotonic is 0.
func Monotonic() int64 { return 0 }
