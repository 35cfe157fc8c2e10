//go:build !linux || !(amd64 || arm64)

package udp

import (
	"errors"
	"net/netip"
	"time"
)

func newFast(*counters, netip.AddrPort, Config) (device, error) {
	return nil, errors.ErrUnsupported
}

// nap does nothing: the plain device's poll waits by itself.
func nap(time.Duration) {}
