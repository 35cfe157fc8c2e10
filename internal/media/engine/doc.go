// Package engine is the media logic of one shard: Ingress (legs that publish),
// Exchange (who gets what, by the recipe of the conference), Egress (legs that
// receive), with their RTCP. It takes decrypted packets and instants and
// returns packets to send, messages to other shards and events; it knows no
// socket, key, clock, lock or goroutine, and forwards without allocating.
//
// An [Engine] belongs to its shard's goroutine. Only [Cross] values travel
// between shards, each owned by one side at a time.
//
// RTCP ends here, but on legs of the recipes in which it crosses
// (topology.Passing): there the engine says nothing of its own about what
// passes. Such RTCP crosses within a shard; media crosses shards as any.
//
// Identity: SSRCs of publishers are known per leg and never leave it; what a
// receiver sees are SSRCs of its own leg (topologies, section 5, rule 3).
package engine
