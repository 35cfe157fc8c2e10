package focus

import (
	"slices"
	"strconv"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// What becomes of a plain leg between its offers.

// closePlain ends all links of a leg but the one control closes.
func (r *room) closePlain(l *leg, why string) {
	if l.rtp == nil {
		return
	}
	for _, n := range l.rtp.lines {
		if n.conn != "" && n.conn != l.conn {
			r.f.cfg.Plane.Close(n.conn, why)
			delete(r.conns, n.conn)
		}
	}
}

// plainLink takes what the media side tells of a line. A line that fell silent
// loses its track, not the endpoint (SPL-5); when it speaks again, it comes
// back with another one.
func (r *room) plainLink(now clock.Time, l *leg, n *plainLine, e plane.Event) {
	n.silent = e.Kind != plane.LinkConnected
	switch {
	case n.silent:
		for _, k := range r.m.TracksOf(l.ms) {
			if k.MID == n.mid && !k.SelfMuted {
				r.fact(now, control.TrackLost, control.Heard{Track: k.ID})
				n.lost = true
			}
		}
	case n.lost:
		n.lost = false
		r.comeBack(now, l, n)
	}
	state := model.LinkDisconnected
	for _, o := range l.rtp.lines {
		if o.conn != "" && !o.silent {
			state = model.LinkConnected
		}
	}
	r.fact(now, control.LinkChanged, control.Link{Conn: l.conn, State: state, Why: e.Reason})
}

// comeBack publishes a line anew.
func (r *room) comeBack(now clock.Time, l *leg, n *plainLine) {
	s := r.sessions[l.dev.Session]
	if s == nil {
		return
	}
	l.rtp.renames++
	cid := "m" + n.mid + "-" + strconv.Itoa(l.rtp.renames)
	cmd := control.Command{Method: api.TrackPublish, Caller: s.caller, Params: publishOf(n.kind, cid, false)}
	if _, err := r.step(now, cmd); err != nil {
		return
	}
	n.cid = cid
	for i := range l.sections {
		if l.sections[i].mid == n.mid {
			l.sections[i].cid = cid
		}
	}
	if _, err := r.step(now, control.Command{Method: api.MediaOffer, Caller: s.caller, Params: api.OfferParams{}}); err != nil {
		return
	}
	_, _ = r.bindPlain(now, s.caller, l)
}

// keyPressed tells everybody of a key (RFC 4733): bots and menus listen.
func (r *room) keyPressed(now clock.Time, e plane.Event) {
	l := r.conns[e.Conn]
	if l == nil || e.Key == 0 {
		return
	}
	c := r.m.Conference()
	r.out.Events = append(r.out.Events, control.Event{
		Name: "participant.dtmf", Conf: c.ID, Rev: c.Rev, At: r.at(now), By: l.dev.Part.User,
		Fields: map[string]any{
			"user": l.dev.Part.User, "device": l.dev.ID, "key": string(rune(e.Key)), "durationMs": e.Duration.Milliseconds(),
		},
	})
}

// describePlain lists the plain legs.
func (r *room) describePlain() []api.RTPLeg {
	var out []api.RTPLeg
	for _, l := range r.legs {
		if l.rtp == nil || l.dev == nil {
			continue
		}
		leg := api.RTPLeg{
			ID: string(l.dev.ID)[len("rtp-"):], User: l.dev.Part.User, Part: string(l.dev.Part.ID), Device: string(l.dev.ID),
			SDP: l.rtp.answer, Streams: []api.RTPStream{},
		}
		for _, n := range l.rtp.lines {
			leg.Streams = append(leg.Streams, n.describe())
		}
		out = append(out, leg)
	}
	slices.SortFunc(out, func(a, b api.RTPLeg) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}

func (n *plainLine) describe() api.RTPStream {
	s := api.RTPStream{MID: n.mid, Kind: n.kind.String(), Direction: n.dir.String(), State: "rejected"}
	if n.conn == "" {
		return s
	}
	s.Conn, s.Codecs, s.Secure, s.State = string(n.conn), n.codecs, n.crypto != nil, "connected"
	s.Local, s.Remote = n.local.RTP.String(), n.remote.String()
	if n.silent {
		s.State = "silent"
	}
	return s
}
