// Package node assembles a server from its parts and owns the order in which
// they start and stop. It decides addresses and certificates; everything else is
// in the packages it plugs together. [New] binds and may fail; [Node.Run] blocks.
package node
