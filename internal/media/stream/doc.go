// Package stream is the state of single RTP streams: on the way in loss,
// repair, reports and feedback ([Receiver], [Recorder], [Estimator]), in the
// middle the packets kept for repair ([Source], [History]), on the way out one
// projection per receiver ([Projection] on an [Egress]) with its own sequence
// numbers. It does not choose who gets what (package topology) and sends
// nothing itself: packets go to a graph.Batch. No clock, lock or goroutine; a
// value belongs to one shard.
package stream
