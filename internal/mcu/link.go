package mcu

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// laneMax is how many sections of a direction one inside connection carries: the
// engine keeps at most 50 streams of a peer, and walks them.
const laneMax = 40

// Payload types and extension ids of the mixer's own link.
const (
	ptNoise = 13 // comfort noise, RFC 3389; static

	ExtLevel       = 1 // audio level, RFC 6464
	ExtMixLevels   = 2 // mixer levels, RFC 6465
	ExtOrientation = 3 // video orientation, 3GPP TS 26.114
)

// payloadTypes by codec; every section has its own list, so formats of one name
// may share a number.
var payloadTypes = map[string]uint8{
	"opus": 111, "pcmu": 0, "pcma": 8, "g722": 9, "vp8": 96, "vp9": 98, "h264": 102, "av1": 45, "h265": 49,
}

// own gives a codec its number on the mixer's link, without what serves repair:
// nothing is lost inside the process.
func own(c plane.Codec, k plane.Kind) plane.Codec {
	if pt, ok := payloadTypes[strings.ToLower(c.Name)]; ok {
		c.PT = pt
	}
	c.RTX, c.RED, c.NACK, c.TWCC, c.REMB = 0, 0, false, false, false
	c.PLI, c.FIR = k == plane.Video, false
	return c
}

// lane is one inside connection.
type lane struct {
	conn    ids.Connection
	inj     plane.Injector
	secs    []plane.Section
	ins     int
	outs    int
	rev     uint32
	stale   bool // secs differ from what was configured
	pending [][]byte
}

// input is a source the room is subscribed to.
type input struct {
	track ids.Track
	kind  plane.Kind
	want  Want
	sub   ids.Subscription
	ssrc  uint32
	lane  *lane
	sec   int
}

// outlet is an output as the link sees it.
type outlet struct {
	o       Output
	lane    *lane
	sec     int
	gone    bool
	packets uint32
	octets  uint32
	ts      uint32     // of the last packet
	at      clock.Time // its instant
	stats   plane.MixStats
	known   bool // stats were taken
}

// link is a room's share of the plane: which sources it gets, which tracks it
// publishes. Safe for concurrent use; the plane's calls return at once.
type link struct {
	s *Server
	r *room

	mu      sync.Mutex
	closed  bool                           // guarded by mu, as is the rest
	room    plane.MixRoom                  // renumbered
	sources map[ids.Track]*plane.MixSource //
	wants   [2][]Want                      // by kind
	ins     map[ids.Track]*input           //
	bySSRC  map[uint32]*input              //
	outs    map[ids.Track]*outlet          //
	lanes   []*lane                        //
	used    map[uint32]bool                // SSRCs of this link, ever
	scratch []byte                         //

	batch gathered // belongs to the room's goroutine

	pics sync.Map // SSRCs of inputs that are pictures; read for each packet, without mu
}

// gathered is what the audio half made in this slot.
type gathered struct {
	bytes []byte
	list  []made
}

type made struct {
	x        *outlet
	off, end int
	at       clock.Time
}

func newLink(s *Server, r *room) *link {
	return &link{
		s: s, r: r, sources: map[ids.Track]*plane.MixSource{}, ins: map[ids.Track]*input{}, bySSRC: map[uint32]*input{},
		outs: map[ids.Track]*outlet{}, used: map[uint32]bool{},
	}
}

// setRoom takes over the sources and returns them with the numbers they have on
// this link.
func (l *link) setRoom(m plane.MixRoom) plane.MixRoom {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Sources = slices.Clone(m.Sources)
	old := l.sources
	l.sources = make(map[ids.Track]*plane.MixSource, len(m.Sources))
	for i := range m.Sources {
		x := &m.Sources[i]
		x.Codec = own(x.Codec, x.Kind)
		l.sources[x.Track] = x
	}
	l.room = m
	for t := range l.ins {
		if o, n := old[t], l.sources[t]; n == nil || (o != nil && o.Codec != n.Codec) {
			l.dropLocked(t)
		}
	}
	l.reconcileLocked()
	return m
}

// want replaces what a half needs.
func (l *link) want(k plane.Kind, list []Want) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wants[k-plane.Audio] = slices.Clone(list)
	l.reconcileLocked()
}

// reconcileLocked makes the subscriptions those that are wanted.
func (l *link) reconcileLocked() {
	if l.closed {
		return
	}
	need := map[ids.Track]Want{}
	for _, list := range l.wants {
		for _, w := range list {
			if l.sources[w.Track] != nil {
				need[w.Track] = w
			}
		}
	}
	for t := range l.ins {
		if _, ok := need[t]; !ok {
			l.dropLocked(t)
		}
	}
	var fresh []*input
	for i := range l.room.Sources { // in order of joining
		w, ok := need[l.room.Sources[i].Track]
		if !ok {
			continue
		}
		if in := l.ins[w.Track]; in == nil {
			if in = l.addLocked(w); in != nil {
				fresh = append(fresh, in)
			}
		} else if in.want != w {
			in.want = w
			l.subscribeLocked(in)
		}
	}
	l.configureLocked()
	for _, in := range fresh {
		l.subscribeLocked(in)
	}
}

// addLocked finds a place for a new source.
func (l *link) addLocked(w Want) *input {
	src := l.sources[w.Track]
	ln, err := l.laneLocked(func(x *lane) bool { return x.ins < laneMax })
	if err != nil {
		l.s.cfg.Log.Warn("mixer has no inside link", "conf", l.r.conf, "err", err)
		return nil
	}
	in := &input{track: w.Track, kind: src.Kind, want: w, sub: ids.NewSubscription(), ssrc: l.ssrcLocked(), lane: ln}
	codecs := []plane.Codec{src.Codec}
	sec := plane.Section{Kind: src.Kind, Send: &plane.Send{Codecs: codecs, SSRC: in.ssrc}}
	if src.Kind == plane.Audio {
		sec.Exts[plane.ExtAudioLevel], sec.Exts[plane.ExtMixerLevel] = ExtLevel, ExtMixLevels
		if src.Codec.ClockRate == 8000 {
			sec.Send.Codecs = append(codecs, plane.Codec{Name: "CN", PT: ptNoise, ClockRate: 8000})
		}
	} else {
		sec.Exts[plane.ExtOrientation] = ExtOrientation
	}
	in.sec = ln.put(sec)
	ln.ins++
	l.ins[in.track], l.bySSRC[in.ssrc] = in, in
	if in.kind == plane.Video {
		l.pics.Store(in.ssrc, true)
	}
	return in
}

func (l *link) subscribeLocked(in *input) {
	err := l.s.cfg.Plane.Subscribe(plane.Subscription{
		Conf: l.r.conf, Sub: in.sub, Track: in.track, Conn: in.lane.conn, MID: in.lane.secs[in.sec].MID, SSRC: in.ssrc,
		Width: in.want.Width, Height: in.want.Height,
	})
	if err != nil { // the track has just gone; the next Room says so
		l.s.cfg.Log.Debug("mixer not subscribed", "conf", l.r.conf, "track", in.track, "err", err)
		l.dropLocked(in.track)
	}
}

func (l *link) dropLocked(t ids.Track) {
	in := l.ins[t]
	if in == nil {
		return
	}
	l.s.cfg.Plane.Unsubscribe(in.sub)
	delete(l.ins, t)
	delete(l.bySSRC, in.ssrc)
	l.pics.Delete(in.ssrc)
	in.lane.take(in.sec)
	in.lane.ins--
}

// put finds a free section for s.
func (ln *lane) put(s plane.Section) int {
	ln.stale = true
	for i := range ln.secs {
		if x := &ln.secs[i]; x.Send == nil && x.Recv == nil && x.Kind == s.Kind {
			s.MID = x.MID
			ln.secs[i] = s
			return i
		}
	}
	s.MID = fmt.Sprintf("m%d", len(ln.secs))
	ln.secs = append(ln.secs, s)
	return len(ln.secs) - 1
}

// take empties a section.
func (ln *lane) take(i int) {
	ln.secs[i].Send, ln.secs[i].Recv = nil, nil
	ln.stale = true
}

// laneLocked returns a lane with room, a new one if none has.
func (l *link) laneLocked(fits func(*lane) bool) (*lane, error) {
	if l.closed {
		return nil, fault.New(410, "conference-over", "the room has ended")
	}
	for _, x := range l.lanes {
		if fits(x) {
			return x, nil
		}
	}
	ln := &lane{conn: ids.NewConnection()}
	var err error
	if ln.inj, err = l.s.cfg.Wires.OpenInside(l.r.conf, ln.conn, l.r); err != nil {
		return nil, err
	}
	l.lanes = append(l.lanes, ln)
	return ln, nil
}

// configureLocked tells the plane about lanes whose sections changed.
func (l *link) configureLocked() {
	for _, ln := range l.lanes {
		if !ln.stale {
			continue
		}
		ln.stale = false
		ln.rev++
		m := plane.LegMedia{Rev: ln.rev, CNAME: l.room.CNAME, RTCPRsize: true, Sections: slices.Clone(ln.secs)}
		if err := l.s.cfg.Plane.Configure(ln.conn, m); err != nil {
			l.s.cfg.Log.Warn("mixer link not configured", "conf", l.r.conf, "err", err)
		}
	}
}

// ssrcLocked returns an SSRC that nothing on this link or in this conference has.
func (l *link) ssrcLocked() uint32 {
	for {
		n := ids.Random32()
		taken := n == 0 || l.used[n]
		for _, s := range l.sources {
			taken = taken || s.SrcID == n
		}
		if !taken {
			l.used[n] = true
			return n
		}
	}
}

// shows tells whether an SSRC carries pictures.
func (l *link) shows(ssrc uint32) bool {
	_, ok := l.pics.Load(ssrc)
	return ok
}

// input tells whose packets an SSRC carries.
func (l *link) input(ssrc uint32) (plane.Kind, ids.Track, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in := l.bySSRC[ssrc]; in != nil {
		return in.kind, in.track, true
	}
	return 0, "", false
}

// needKeyframe asks a source by PLI.
func (l *link) needKeyframe(src ids.Track) {
	l.mu.Lock()
	in := l.ins[src]
	l.mu.Unlock()
	if in != nil {
		in.lane.inj.Inject([][]byte{appendPLI(in.ssrc)})
	}
}

// close ends the connections; the tracks go with them.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for t, x := range l.outs {
		x.gone = true
		l.s.cfg.Plane.Unpublish(l.r.conf, t)
	}
	for _, ln := range l.lanes {
		l.s.cfg.Plane.Close(ln.conn, "mixer ended")
	}
	l.outs, l.ins, l.bySSRC, l.lanes = map[ids.Track]*outlet{}, map[ids.Track]*input{}, map[uint32]*input{}, nil
}

// survey asks the legs of listeners how their mixes arrive.
func (l *link) survey(now clock.Time) {
	l.mu.Lock()
	type ask struct {
		t   ids.Track
		k   plane.Kind
		leg ids.Connection
	}
	var asks []ask
	for t, x := range l.outs {
		if x.o.Leg != "" {
			asks = append(asks, ask{t, x.o.Kind, x.o.Leg})
		}
	}
	l.mu.Unlock()
	for _, a := range asks {
		s, ok := l.s.cfg.Plane.Stats(a.leg)
		h := l.r.halves[a.k-plane.Audio]
		if !ok || h == nil {
			continue
		}
		h.SetLoss(now, a.t, s.FractionLostOut)
		if a.k == plane.Video && s.EstimateOut > 0 {
			h.SetRate(now, a.t, videoShare(s.EstimateOut))
		}
	}
}

// videoShare leaves room for a mix's sound beside the picture.
func videoShare(estimate uint64) uint64 {
	const sound = 64_000
	return max(estimate, 2*sound) - sound
}

// reportEvery is the interval of sender reports; receivers wait for the first to
// bring sound and picture together.
const reportEvery = time.Second
