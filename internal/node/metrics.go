package node

import (
	"time"

	"parley/internal/metrics"
	"parley/internal/transport/turn"
	"parley/internal/worker"
)

// measure fills in a scrape from every part's own snapshot.
func (n *Node) measure(v metrics.Values) {
	v.Set("parley_build_info", n.version, 1)
	v.Set("parley_uptime_seconds", "", time.Since(n.started).Seconds())
	f := n.focus.Stats()
	v.Set("parley_conferences", "", float64(f.Conferences))
	v.Set("parley_participants", "", float64(f.Participants))
	v.Set("parley_loops_total", "", float64(f.Loops))
	v.Set("parley_focus_waiting", "", float64(f.Waiting))
	s := n.sessions.Stats()
	v.Set("parley_sessions", "open", float64(s.Sessions-s.Suspended))
	v.Set("parley_sessions", "suspended", float64(s.Suspended))
	byLabel(v, "parley_sessions_total", map[string]uint64{
		"opened": s.Opened, "resumed": s.Resumed, "resynced": s.Resynced, "expired": s.Expired, "limited": s.Limited,
	})
	st := n.store.Stats()
	byLabel(v, "parley_store_operations_total", map[string]uint64{
		"read": st.Reads, "write": st.Writes, "conflict": st.Conflicts, "failure": st.Failures,
	})
	v.Set("parley_store_bytes", "", float64(st.Bytes))
	v.Set("parley_definitions", "", float64(n.defs.Len()))
	w := n.hooks.Stats()
	byLabel(v, "parley_webhooks_total", map[string]uint64{
		"delivered": w.Delivered, "retried": w.Retried, "given-up": w.GivenUp, "dropped": w.Dropped,
	})
	v.Set("parley_webhooks_waiting", "", float64(w.Waiting))
	c := n.pool.Counters()
	measureMedia(v, c)
	measureRepairs(v, c)
	n.measureQuality(v)
	n.measureMixer(v)
	if n.turn != nil {
		measureTURN(v, n.turn.Stats())
	}
}

func measureTURN(v metrics.Values, s turn.Stats) {
	v.Set("parley_turn_allocations", "", float64(s.Allocations))
	byLabel(v, "parley_turn_requests_total", map[string]uint64{"allocated": s.Made, "over-quota": s.OverQuota, "refused": s.Refused, "limited": s.Limited})
	byLabel(v, "parley_turn_packets_total", map[string]uint64{"from-peer": s.In, "to-peer": s.Out, "from-peer-dropped": s.DropIn, "to-peer-dropped": s.DropOut})
	byLabel(v, "parley_turn_bytes_total", map[string]uint64{"from-peer": s.BytesIn, "to-peer": s.BytesOut})
}

func byLabel(v metrics.Values, name string, by map[string]uint64) {
	for label, c := range by {
		v.Add(name, label, float64(c))
	}
}

func measureMedia(v metrics.Values, c worker.Counters) {
	v.Set("parley_links", "", float64(c.Links))
	v.Set("parley_links_half_open", "", float64(c.HalfOpen))
	v.Set("parley_tracks", "", float64(c.Tracks))
	v.Set("parley_packet_buffers", "", float64(c.Buffers))
	for i := range c.Shards {
		s := &c.Shards[i]
		byLabel(v, "parley_handshakes_total", map[string]uint64{"done": s.Handshakes, "failed": s.HandshakesFailed})
		byLabel(v, "parley_received_datagrams_total", map[string]uint64{"stun": s.STUN, "dtls": s.DTLS, "rtp": s.RTP, "rtcp": s.RTCP})
		byLabel(v, "parley_sent_packets_total", map[string]uint64{"rtp": s.RTPOut, "rtcp": s.RTCPOut})
		byLabel(v, "parley_dropped_total", s.Dropped)
		for name, n := range map[string]uint64{
			"parley_join_timeouts_total": s.JoinTimeouts, "parley_path_changes_total": s.PathChanges,
			"parley_received_bytes_total": s.Socket.RxBytes, "parley_sent_datagrams_total": s.Socket.TxDatagrams,
			"parley_sent_bytes_total": s.Socket.TxBytes, "parley_sent_messages_total": s.Socket.TxMessages,
			"parley_send_blocked_total": s.Socket.TxBlocked, "parley_kernel_drops_total": s.Socket.KernelDrops,
		} {
			v.Add(name, "", float64(n))
		}
	}
}
