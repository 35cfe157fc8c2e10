// Package topology holds the recipes, each a graph.Element that wires sources to
// projections. Most RTP topologies of RFC 7667 are ways to use one of them, the
// selective forwarding middlebox (slots, anonymous slots, mixed tracks); those
// in which RTCP crosses are elements of their own. It is not the place
// of packet arithmetic (package stream) nor of sockets. A recipe instance serves
// one conference on one shard and belongs to its goroutine.
package topology

import (
	"parley/internal/media/graph"
	"parley/internal/media/plane"
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
var recipes = map[string]func(Env) Recipe{
	"relay":               newRelayRecipe,
	"video-switching-mcu": newSwitchRecipe,
	"asymmetric":          newAsymRecipe,
}

// New makes a recipe by name. All others than those in which RTCP passes are
// ways to use one, the selective forwarding middlebox.
func New(name string, e Env) Recipe {
	if f, ok := recipes[name]; ok {
		return f(e)
	}
	return newSFU()
}

// Name returns the recipe that a subscription's topology leads to, so that
// several ways to use one share an instance.
func Name(topology string, k plane.Kind) string {
	switch {
	case topology == "video-switching-mcu" && k == plane.Audio:
		return "" // it switches video; sound takes the usual way
	case recipes[topology] != nil:
		return topology
	}
	return ""
}
