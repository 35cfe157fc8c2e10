// Package store keeps what must outlive a restart: records in named buckets, by
// key, each with a revision to compare against. It is an embedded NATS server's
// JetStream key-value store, so that a cluster can share it later; on a single
// node that server opens no port at all (class A27): it is reached through
// memory. Every write is on disk before it is acknowledged.
//
// Package store knows records, not conferences: what state a definition should
// be in is decided by focus and admin.
//
// Threading: all methods are safe for concurrent use. Open starts the embedded
// server's goroutines, Close ends and joins them.
package store
