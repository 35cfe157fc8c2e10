//go:build !linux || !(amd64 || arm64)

package wire

import (
	"context"
	"errors"
	"net/netip"

	"parley/internal/base/clock"
)

// Loop runs many peers on one goroutine where there is epoll; elsewhere none can be made.
type Loop struct{}

// NewLoop fails here.
func NewLoop(interface{ Now() clock.Time }, bool) (*Loop, error) { return nil, errors.ErrUnsupported }

// Add is never reached.
func (l *Loop) Add(_ *Peer, done func(error)) { done(errors.ErrUnsupported) }

// Run is never reached.
func (l *Loop) Run(context.Context, func(clock.Time) clock.Time) {}

func (l *Loop) dial(netip.Addr, netip.AddrPort) (conn, error) { return nil, errors.ErrUnsupported }
