//go:build !linux || !(amd64 || arm64)

package udp

import (
	"errors"
	"net/netip"
)

func newFast(*counters, netip.AddrPort, Config) (device, error) {
	return nil, errors.ErrUnsupported
}
