package worker

import (
	"net/netip"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/transport/ice"
	"parley/internal/transport/tcp"
	"parley/internal/transport/udp"
)

// paddingBit is P in the first byte of an RTP header (RFC 3550, section 5.1).
const paddingBit = 0x20

// sealer is the scratch memory of planning.
type sealer struct {
	sizes []int
	padOK []bool
	runs  []udp.Run
	one   [2048]byte // a packet on its way into a TCP queue
}

// sendBatch seals what the engine made, leg by leg, into the outbox.
func (w *Worker) sendBatch(now clock.Time, b *graph.Batch) {
	for sends := b.Sends; len(sends) > 0; {
		id := sends[0].Leg
		n := 1
		for n < len(sends) && sends[n].Leg == id {
			n++
		}
		run := sends[:n]
		sends = sends[n:]
		l := w.leg(id)
		if l != nil && l.carrier != nil {
			l.carrier.send(w, now, b, run)
			continue
		}
		if l == nil || !l.CanSend() {
			w.count.Unsendable += uint64(n)
			continue
		}
		path, _ := l.Path()
		if path.TCP != 0 {
			w.sendOverTCP(l, path.TCP, b, run)
			continue
		}
		w.sendOverUDP(l, path.Addr, b, run)
	}
}

// sendOverUDP plans a leg's packets into GSO runs and seals each at its place
// in the send memory.
func (w *Worker) sendOverUDP(l *leg, to netip.AddrPort, b *graph.Batch, sends []graph.Send) {
	s := &w.seal
	s.plan(l, b, sends)
	for _, r := range s.runs {
		if r.Bytes > txLargest {
			w.count.FarTooLarge++
			continue
		}
		room := w.tx.room(r.Bytes)
		used := 0
		for i := r.First; i < r.First+r.Count; i++ {
			pad := 0
			if i < r.First+r.Count-1 {
				pad = r.SegSize - s.sizes[i]
			}
			n := w.sealOne(l, b, &sends[i], room[used:used:cap(room)], pad)
			used += n // a packet that cannot be sealed leaves no gap
		}
		if used > 0 {
			w.tx.commit(to, used, r.SegSize)
		}
	}
}

// plan measures the packets as they will be on the wire and cuts them into runs.
func (s *sealer) plan(l *leg, b *graph.Batch, sends []graph.Send) {
	s.sizes, s.padOK = s.sizes[:0], s.padOK[:0]
	rtp, rtcp := l.Overhead()
	for i := range sends {
		p := &sends[i]
		size := int(p.HdrLen)
		if p.RTCP {
			size += rtcp
		} else {
			size += int(p.End-p.Off) + rtp
		}
		s.sizes = append(s.sizes, size)
		s.padOK = append(s.padOK, !p.RTCP && p.Src != nil && b.Header(p)[0]&paddingBit == 0)
	}
	s.runs = udp.PlanRuns(s.sizes, s.padOK, s.runs[:0])
}

// sealOne appends one sealed packet to dst and returns its length, 0 if the
// batch holds nonsense.
func (w *Worker) sealOne(l *leg, b *graph.Batch, p *graph.Send, dst []byte, pad int) int {
	header := b.Header(p)
	if p.RTCP {
		out, err := l.SealRTCP(dst, header)
		if err != nil {
			w.count.Unsendable++
			return 0
		}
		w.count.RTCPOut++
		return len(out) - len(dst)
	}
	if pad > 0 {
		header[0] |= paddingBit
		w.count.Padded++
	}
	var payload []byte
	if p.Src != nil {
		payload = p.Src.B[p.Off:p.End]
	}
	out, err := l.SealRTP(dst, header, payload, pad)
	if err != nil {
		w.count.Unsendable++
		return 0
	}
	w.count.RTPOut++
	return len(out) - len(dst)
}

// sendOverTCP seals packet by packet into the connection's queue.
func (w *Worker) sendOverTCP(l *leg, conn uint32, b *graph.Batch, sends []graph.Send) {
	for i := range sends {
		p := &sends[i]
		n := w.sealOne(l, b, p, w.seal.one[:0], 0)
		if n == 0 {
			continue
		}
		w.sendTCP(conn, l.class(b, p), w.seal.one[:n])
	}
}

// transmit sends one control datagram (STUN, DTLS).
func (w *Worker) transmit(to ice.Path, b []byte) {
	if to.TCP != 0 {
		w.sendTCP(to.TCP, tcp.Control, b)
		return
	}
	w.tx.put(to.Addr, b)
}
