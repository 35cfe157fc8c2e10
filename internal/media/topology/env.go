package topology

import "parley/internal/base/clock"

// Env is what recipes that end RTCP need from outside.
type Env struct {
	Anchor   clock.Anchor // for NTP timestamps in sender reports
	Random32 func() uint32
}
