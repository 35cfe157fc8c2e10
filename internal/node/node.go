// Package node assembles a server from its parts.
package node

import (
	"context"
	"io"

	"parley/internal/config"
)

// Node is one running server.
type Node struct{}

// New assembles.
func New(c *config.Server, version string, logs io.Writer) (*Node, error) { return &Node{}, nil }

// Banner prints.
func (n *Node) Banner(w io.Writer) {}

// Run serves.
func (n *Node) Run(ctx context.Context) error { <-ctx.Done(); return nil }
