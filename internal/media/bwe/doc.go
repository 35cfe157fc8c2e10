// Package bwe estimates how much one receiver's path carries and says when
// packets may leave for it: the congestion control of an egress leg.
//
// It is written after draft-ietf-rmcat-gcc-02 (delay gradient, adaptive
// threshold, AIMD) with a loss controller that tells loss of the path from loss
// of congestion, probing, detection of application-limited phases, a pacer and
// the circuit breaker of RFC 8083. Feedback comes as transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01), as RFC 8888, or as REMB.
//
// How a leg uses it, all with the same now:
//
//	c.OnSent(now, bwe.Packet{...})    each packet, after it was sealed
//	c.OnTWCC / OnCCFB / OnREMB / OnRTT / OnLoss    what its receiver says
//	c.Tick(now)                       at the instant it asked for
//	c.Target()                        what to allocate, bit/s of UDP payload
//	p.SetRate(c.Target()); p.Fresh(now), p.Room(now)    a Pacer: how much may leave now
//	c.WantProbe()                     padding or RTX to send at a rate
//
// It is not an allocator: it does not know streams, layers or priorities. It
// sends nothing, holds no packet and reads no clock.
//
// Threading: none. A Controller and a Pacer belong to the leg's shard. After
// the first seconds nothing is allocated.
package bwe
