// Package alloc splits what one receiver's path carries over everything it is
// sent: audio first, then screens, then who speaks or is pinned, then the rest.
// Everybody gets the cheapest operating point before anybody gets a better one,
// and what is taken away comes back only when it can stay.
//
// It decides and no more: rates are measured and layers are switched by package
// stream, the budget comes from package bwe, and package engine brings them
// together. It knows neither packets nor tracks. Pure state; the caller's
// goroutine owns it, and nothing is allocated once its scratch has grown.
package alloc
