package worker

import (
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/transport/demux"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/link"
	"parley/internal/transport/tcp"
)

// leg is one link with its names. Indexed by LegID; nil slots are free. It is
// either a WebRTC link or carried by something else.
type leg struct {
	*link.Link
	carrier carrier

	id    graph.LegID
	conf  ids.Conference
	conn  ids.Connection
	told  link.State // what the sink heard last
	ready bool       // the engine was told that keys exist
	audio [2]uint64  // payload types that carry audio, as a bit set
}

// learn notes which payload types are audio, for queues that must drop video first.
func (l *leg) learn(m plane.LegMedia) {
	l.audio = [2]uint64{}
	for i := range m.Sections {
		s := &m.Sections[i]
		if s.Kind != plane.Audio || s.Send == nil {
			continue
		}
		for _, c := range s.Send.Codecs {
			l.audio[c.PT>>6&1] |= 1 << (c.PT & 63)
			if c.RED != 0 {
				l.audio[c.RED>>6&1] |= 1 << (c.RED & 63)
			}
		}
	}
}

// class says what a packet is worth to a slow TCP connection.
func (l *leg) class(b *graph.Batch, p *graph.Send) tcp.Class {
	if p.RTCP {
		return tcp.Control
	}
	pt := b.Header(p)[1] & 0x7f
	if l.audio[pt>>6]>>(pt&63)&1 != 0 {
		return tcp.Audio
	}
	return tcp.Video
}

// leg returns a leg by number, nil if there is none.
func (w *Worker) leg(id graph.LegID) *leg {
	if int(id) >= len(w.legs) {
		return nil
	}
	return w.legs[id]
}

func (w *Worker) openLeg(now clock.Time, id graph.LegID, o plane.Open, local ice.Creds) {
	l := &leg{id: id, conf: o.Conf, conn: o.Conn}
	cfg := link.Config{
		Local: local, Remote: ice.Creds{Ufrag: o.Remote.Ufrag, Pwd: o.Remote.Pwd.Reveal()},
		Identity: w.cfg.Identity, Handshakes: w.pool.handshakes, DTLSClient: o.DTLSClient,
		JoinTimeout: w.cfg.Caps.JoinTimeout, Host: (*host)(w), Shared: &w.shared,
	}
	for _, fp := range o.Fingerprints {
		cfg.Fingerprints = append(cfg.Fingerprints, dtls.Fingerprint(fp))
	}
	if o.Data {
		cfg.Data = w.dataConfig(l, o)
	}
	l.Link = link.New(now, uint32(id), cfg)
	w.place(l)
	w.table.AddUfrag(local.Ufrag, demux.Handle(id))
	w.eng.OpenLeg(now, engine.LegConfig{Leg: id, Conf: o.Conf, Conn: o.Conn, Trace: w.traceOf(o.Conn)})
	w.tickLeg(now, l)
}

func (w *Worker) dataConfig(l *leg, o plane.Open) *link.DataConfig {
	emit := func(e plane.Event) {
		e.Conf, e.Conn = l.conf, l.conn
		w.cfg.Sink.HandleMedia(e)
	}
	return &link.DataConfig{
		Port: int(o.SCTPPort), MaxMessage: o.MaxMessage,
		OnOpen: func(id uint16, label string) {
			emit(plane.Event{Kind: plane.DataOpened, Channel: id, Label: label})
		},
		OnMessage: func(id uint16, binary bool, data []byte) {
			emit(plane.Event{Kind: plane.DataMessage, Channel: id, Binary: binary, Data: append([]byte(nil), data...)})
		},
		OnClose: func(id uint16) { emit(plane.Event{Kind: plane.DataClosed, Channel: id}) },
	}
}

// tickLeg asks the link what is due and puts its next wish into the timers.
func (w *Worker) tickLeg(now clock.Time, l *leg) {
	if l.carrier != nil {
		w.timers.want(l.id, l.carrier.tick(w, now))
		return
	}
	w.timers.want(l.id, l.Tick(now))
}

func (w *Worker) configure(now clock.Time, id graph.LegID, m plane.LegMedia) {
	if l := w.leg(id); l != nil {
		l.learn(m)
		if c, ok := l.carrier.(interface {
			configured(clock.Time, plane.LegMedia)
		}); ok {
			c.configured(now, m)
			w.timers.want(id, now)
		}
		w.eng.ConfigureLeg(now, id, m)
	}
}

func (w *Worker) restart(now clock.Time, id graph.LegID, local ice.Creds, remote plane.ICECreds) {
	l := w.leg(id)
	if l == nil || l.Link == nil {
		return
	}
	w.table.AddUfrag(local.Ufrag, demux.Handle(id))
	l.Restart(local, ice.Creds{Ufrag: remote.Ufrag, Pwd: remote.Pwd.Reveal()})
}

func (w *Worker) sendData(id graph.LegID, channel uint16, binary bool, data []byte) {
	if l := w.leg(id); l != nil && (l.Link == nil || l.SendData(channel, binary, data) != nil) {
		w.count.DataRefused++
	}
}

// closeLeg frees a link: what the engine has to say (BYE) is sealed and sent
// before the keys go.
func (w *Worker) closeLeg(now clock.Time, id graph.LegID, reason string) {
	l := w.leg(id)
	if l == nil {
		return
	}
	w.eng.CloseLeg(now, id, &w.out)
	w.sealOut(now) // it leaves with the turn: a conference that ends is one system call
	if l.carrier != nil {
		l.carrier.close(w, now)
	} else {
		w.closeLink(now, l, reason)
	}
	w.timers.drop(id)
	w.legs[id] = nil
	w.live--
}

// closeLink ends a WebRTC link.
func (w *Worker) closeLink(now clock.Time, l *leg, reason string) {
	for _, u := range l.Ufrags() {
		w.table.RemoveUfrag(u)
	}
	l.Close(now, reason)
	w.table.Remove(demux.Handle(l.id))
	w.closeTCP(l.id)
}

func (w *Worker) stats(id graph.LegID, conn ids.Connection) (plane.LinkStats, bool) {
	l := w.leg(id)
	if l == nil || l.conn != conn {
		return plane.LinkStats{}, false
	}
	if l.carrier != nil {
		var s plane.LinkStats
		l.carrier.stats(&s)
		w.eng.LegStats(id, &s)
		return s, true
	}
	st, _ := l.State()
	p, _ := l.Path()
	s := plane.LinkStats{
		State: st.String(), RemoteAddr: p.Addr, Profile: l.Profile(),
		PacketsIn: l.PacketsIn, PacketsOut: l.PacketsOut, BytesIn: l.BytesIn, BytesOut: l.BytesOut,
	}
	w.eng.LegStats(id, &s) // knows media from reports, and replaces the counts where it keeps its own
	return s, true
}

// host is the Worker as its links see it.
type host Worker

// Post implements link.Host.
func (h *host) Post(f func(now clock.Time)) bool { return h.mail.post(f) }

// Transmit implements link.Host.
func (h *host) Transmit(to ice.Path, b []byte) { (*Worker)(h).transmit(to, b) }

// Claim implements link.Host. A TCP connection is its link's by itself.
func (h *host) Claim(now clock.Time, l *link.Link, from ice.Path) bool {
	if from.TCP != 0 {
		return h.tcp.claim(from.TCP, graph.LegID(l.Leg))
	}
	st, _ := h.table.Bind(now, from.Addr, demux.Handle(l.Leg))
	return st != demux.Held
}

// ForgetUfrag implements link.Host.
func (h *host) ForgetUfrag(_ *link.Link, ufrag string) { h.table.RemoveUfrag(ufrag) }

// Changed implements link.Host: it tells the engine and the sink. A link that
// failed leaves the books at once; the pool answers with closeLeg.
func (h *host) Changed(now clock.Time, ll *link.Link) {
	w := (*Worker)(h)
	l := w.leg(graph.LegID(ll.Leg))
	if l == nil || l.Link != ll {
		return
	}
	state, reason := l.State()
	was := l.told
	l.told = state
	w.timers.want(l.id, now) // deadlines of the new state may be earlier
	switch state {
	case link.StateConnected:
		if !l.ready {
			l.ready = true
			w.eng.SetLegReady(now, l.id, &w.out)
			w.pool.linkConnected(l.conn)
		}
		w.tell(l, plane.LinkConnected, "")
	case link.StateDisconnected:
		w.tell(l, plane.LinkDisconnected, "")
	case link.StateFailed:
		w.cfg.Logger.Debug("link failed", "conn", l.conn, "reason", reason, "state", was.String())
		w.tell(l, plane.LinkFailed, reason)
		w.pool.linkEnded(l.conn, w.id, l.id, reason)
	case link.StateNew, link.StateChecking, link.StateClosed:
	}
}

func (w *Worker) tell(l *leg, k plane.EventKind, reason string) {
	w.cfg.Sink.HandleMedia(plane.Event{Conf: l.conf, Conn: l.conn, Kind: k, Reason: reason})
}
