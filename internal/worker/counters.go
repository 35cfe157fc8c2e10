package worker

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/engine"
	"parley/internal/transport/demux"
	"parley/internal/transport/ice"
	"parley/internal/transport/link"
	"parley/internal/transport/srtp"
	"parley/internal/transport/udp"
)

// Counters is a snapshot of a node's media side for metrics.
type Counters struct {
	Links       int // in all states
	HalfOpen    int // of them, without keys yet
	Conferences int
	Tracks      int
	Buffers     int64 // packet buffers in use
	Shards      []ShardCounters
}

// ShardCounters is one worker's part. All but Links only grow.
type ShardCounters struct {
	Links                   int
	Turns                   uint64 // of the loop
	Naps                    uint64 // short sleeps for the rest of a picture
	RTPOut, RTCPOut         uint64
	Padded                  uint64 // packets padded to join a GSO run
	Checks                  uint64 // authenticated connectivity checks answered
	Handshakes              uint64
	HandshakesFailed        uint64
	JoinTimeouts            uint64
	PathChanges             uint64
	STUN, DTLS, RTP, RTCP   uint64 // datagrams by kind, before any proof
	Socket                  udp.Stats
	Info                    udp.Info
	Dropped                 map[string]uint64 // by reason, prefixed by the layer that dropped
	Media                   engine.Drops      // what the engine refused
	Quality                 engine.Totals     // of all links there were
	MailboxDropped          uint64            // batches between shards, lost at the limit
	Unsendable              uint64            // packets for a leg without keys or path
	TCPDropped, DataRefused uint64
}

// snapshotPatience bounds the wait for a shard's answer; a shard that takes
// longer is left out of the snapshot.
const snapshotPatience = 2 * time.Second

// Counters gathers a snapshot. It waits for each shard's next turn.
func (p *Pool) Counters() Counters {
	p.mu.Lock()
	c := Counters{
		Links: len(p.links), HalfOpen: p.joins.total, Conferences: len(p.confs), Tracks: len(p.tracks),
		Buffers: p.ring.Live(),
	}
	p.mu.Unlock()
	for _, w := range p.shards {
		got := make(chan ShardCounters, 1)
		if !w.mail.post(func(clock.Time) { got <- w.snapshot() }) {
			continue
		}
		select {
		case s := <-got:
			c.Shards = append(c.Shards, s)
		case <-w.done:
		case <-time.After(snapshotPatience):
		}
	}
	return c
}

func (w *Worker) snapshot() ShardCounters {
	s := ShardCounters{
		Links: w.live, Turns: w.count.Turns, Naps: w.count.Naps, RTPOut: w.count.RTPOut, RTCPOut: w.count.RTCPOut, Padded: w.count.Padded,
		Checks: w.shared.STUN[ice.DropNone], Handshakes: w.shared.Handshakes, HandshakesFailed: w.shared.HandshakesFailed,
		JoinTimeouts: w.shared.JoinTimeouts, PathChanges: w.shared.PathChanges,
		STUN: w.seen.Kinds[demux.STUN], DTLS: w.seen.Kinds[demux.DTLS], RTP: w.seen.Kinds[demux.RTP], RTCP: w.seen.Kinds[demux.RTCP],
		Socket: w.sock.Stats(), Info: w.sock.Info(), MailboxDropped: w.mail.dropped(),
		Unsendable: w.count.Unsendable, TCPDropped: w.count.TCPDropped, DataRefused: w.count.DataRefused,
		Dropped: map[string]uint64{}, Quality: w.totals(),
	}
	if e, ok := w.eng.(interface{ Drops() engine.Drops }); ok {
		s.Media = e.Drops()
	}
	for r, n := range w.seen.Dropped {
		note(s.Dropped, "demux-", demux.Reason(r).String(), n)
	}
	for r := ice.DropNone + 1; r < ice.DropCount; r++ {
		note(s.Dropped, "stun-", r.String(), w.shared.STUN[r])
	}
	for r := srtp.DropNone + 1; r < srtp.DropCount; r++ {
		note(s.Dropped, "srtp-", r.String(), w.shared.SRTP[r])
	}
	for r := range link.DropCount {
		note(s.Dropped, "link-", r.String(), w.shared.Dropped[r])
	}
	note(s.Dropped, "plain-", "foreign", w.count.Foreign)
	note(s.Dropped, "plain-", "no-room", w.count.Crowded)
	note(s.Dropped, "plain-", "refused", w.count.Refused)
	return s
}

func note(m map[string]uint64, layer, reason string, n uint64) {
	if n > 0 {
		m[layer+reason] = n
	}
}
