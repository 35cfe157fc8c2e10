// Package topology holds the recipes: one file per RTP topology of RFC 7667,
// each a graph.Element that wires sources to projections. It is not the place
// of packet arithmetic (package stream) nor of sockets. A recipe instance serves
// one conference on one shard and belongs to its goroutine.
package topology

import (
	"parley/internal/media/graph"
	"parley/internal/media/stream"
)

// Recipe is an element that can be wired while it runs.
type Recipe interface {
	graph.Element
	// AddSource and RemoveSource announce what may arrive in a batch.
	AddSource(s *stream.Source)
	RemoveSource(s *stream.Source)
	// Connect makes a projection of a leg follow its source (and again after
	// its source changed); Disconnect ends that.
	Connect(e *stream.Egress, p *stream.Projection)
	Disconnect(e *stream.Egress, p *stream.Projection)
}

// Recipes by their name in signalling; "" is the default.
var recipes = map[string]func() Recipe{
	"":     newSFU,
	"auto": newSFU,
	"sfu":  newSFU,
}

// New makes a recipe by name; unknown names give the default, since control
// has refused them long before.
func New(name string) Recipe {
	if f, ok := recipes[name]; ok {
		return f()
	}
	return newSFU()
}
