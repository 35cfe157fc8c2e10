//go:build !linux

package plain

import (
	"errors"
	"net"
)

func steer(*net.UDPConn, GroupConfig, *net.Interface) error { return errors.ErrUnsupported }
