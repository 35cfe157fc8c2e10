package focus

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// room is one running conference: the loop around a machine. All fields but
// box and status belong to the loop.
type room struct {
	f      *Focus
	id     ids.Conference
	uri    string
	box    *mailbox
	status atomic.Pointer[Status]
	log    *slog.Logger

	m        *control.Machine
	out      control.Output
	sessions map[ids.Session]*session
	waiting  map[ids.Session][]*item // joins of those in the lobby
	legs     map[ids.MediaSession]*leg
	conns    map[ids.Connection]*leg
	cnames   map[*model.Device]string
	notes    notifier
	floor    speakers
	users    int
	branch   branch
	refill   bool // slots may have other sources now
	mixing   mixing
	paths    paths
	over     bool
	stopping bool        // the node goes; clients come back elsewhere
	kept     model.Phase // what the definition says
	why      string      // the conference ended
	unkept   error       // a change of the command in hand was not stored
}

func newRoom(f *Focus, id ids.Conference, uri string) *room {
	return newRoomOf(f, control.Config{
		ID: id, URI: uri, Anchor: f.cfg.Clock.Anchor(), IDs: *f.cfg.IDs, Policy: f.cfg.Policy,
		Definition: f.definition(uri), Inviter: f.cfg.Inviter, Recorder: f.cfg.Recorder,
		CanMix: f.canMix(),
	})
}

func newRoomOf(f *Focus, c control.Config) *room {
	id := c.ID
	r := &room{
		f: f, id: id, uri: c.URI, box: newMailbox(f.cfg.Inbox),
		log:      f.cfg.Log.With("conf", string(id)),
		sessions: map[ids.Session]*session{},
		waiting:  map[ids.Session][]*item{},
		legs:     map[ids.MediaSession]*leg{},
		conns:    map[ids.Connection]*leg{},
		cnames:   map[*model.Device]string{},
		m:        control.NewMachine(c),
		kept:     model.Scheduled,
	}
	r.notes.init(r)
	return r
}

// run is the loop. It ends when the conference has, or was never started.
func (r *room) run() {
	t := time.NewTimer(time.Hour)
	t.Stop()
	defer t.Stop()
	for !r.over {
		r.box.wait(r.patience(), t)
		for _, it := range r.box.take() {
			if r.over {
				r.late(it)
				continue
			}
			r.guarded(it)
		}
		if !r.over {
			r.guarded(&item{fact: tick})
		}
		if r.m.Conference().Phase == model.Scheduled {
			r.over = true // nobody was allowed to start it
		}
	}
	r.close()
}

// patience is how long the loop may sleep; negative: until something comes.
func (r *room) patience() time.Duration {
	at := clock.Earliest(r.m.Deadline(), clock.Earliest(r.notes.due(), r.floor.at))
	at = clock.Earliest(at, clock.Earliest(r.mixing.due(), r.paths.at))
	at = clock.Earliest(at, r.notes.statsDue())
	for _, l := range r.legs {
		at = clock.Earliest(at, clock.Earliest(l.needAt, l.ends()))
	}
	if at.IsZero() {
		return -1
	}
	return max(0, at.Sub(r.f.cfg.Clock.Now()))
}

// close leaves the registry and sees to what came too late.
func (r *room) close() {
	r.f.remove(r)
	r.endMixing()
	r.f.cfg.Plane.EndConference(r.id)
	r.f.users.Add(int64(-r.users))
	for _, it := range r.box.close() {
		r.late(it)
	}
}

// late answers what arrived behind the end. By URI another instance may take
// it; a conference that never was is looked up again as well.
func (r *room) late(it *item) {
	switch {
	case it.reply == nil:
	case r.m.Conference().Phase == model.Scheduled:
		r.f.remove(r)
		r.f.route(it)
	case r.m.Superseded():
		it.settle(&fault.Error{Code: 503, Reason: "stale-epoch", Message: "another node owns the conference now", RetryAfter: time.Second})
	default:
		it.settle(fault.New(410, "gone", "the conference has ended"))
	}
}

// guarded handles one item. A fault of ours in it must cost that request and
// its session, not the node (line A20).
func (r *room) guarded(it *item) {
	replied := it.reply == nil
	if !replied {
		inner := it.reply
		it.reply = func(resp *api.Response) {
			replied = replied || resp.Final
			inner(resp)
		}
	}
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("request failed inside", "method", it.method+it.fact, "panic", v, "stack", string(debug.Stack()))
			r.out = control.Output{}
			if !replied {
				it.refuse(fault.New(500, "server-error", "internal error"))
			}
			r.putOut(it)
		}
	}()
	r.handle(it)
}

// putOut closes the session whose request broke something half way: what it
// holds may be inconsistent, and it comes back with a fresh one.
func (r *room) putOut(it *item) {
	if it.session == nil || r.m.Device(it.caller.Session) == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("closing a session failed inside", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	now := r.f.cfg.Clock.Now()
	_, _ = r.step(now, it.command(control.SessionClosed, control.Closed{Reason: "server-error"}))
	r.goodbye(it.caller.Session, api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: "server-error"})
	r.settle(now)
}

func (r *room) handle(it *item) {
	now := r.f.cfg.Clock.Now()
	switch {
	case it.event != nil:
		r.handleMedia(now, *it.event)
	case it.paths != nil:
		r.measured(now, it.paths)
	case it.stats != nil:
		r.notes.tellStats(now, it.stats)
	case it.look != nil:
		it.look(r)
		return
	case it.fact == tick:
		r.tick(now)
	case it.fact != "":
		r.handleFact(now, it)
	case it.sub != nil:
		r.notes.subscribe(now, it)
	default:
		r.request(now, it)
	}
	r.settle(now)
}

func (r *room) handleFact(now clock.Time, it *item) {
	r.stopping = it.fact == control.NodeStopping
	_, _ = r.step(now, it.command(it.fact, it.params))
	if it.fact == control.SessionClosed {
		delete(r.sessions, it.caller.Session)
		r.notes.drop(it.caller.Session)
	}
}

func (it *item) command(method string, params any) control.Command {
	return control.Command{Method: method, Caller: it.caller, Params: params, IfRev: it.ifRev}
}

// defaultTTL is how long a request may wait for its turn when it does not say.
const defaultTTL = 15 * time.Second

// request runs a client's command and gives its one final answer.
func (r *room) request(now clock.Time, it *item) {
	ttl := defaultTTL
	if it.ttlMs > 0 {
		ttl = time.Duration(it.ttlMs) * time.Millisecond
	}
	if now.Sub(it.at) > ttl {
		it.refuse(fault.New(408, "timeout", "the request waited too long"))
		return
	}
	if it.err != nil {
		it.refuse(it.err)
		return
	}
	r.sessions[it.caller.Session] = it.session
	r.unkept = nil
	res, err := r.dispatch(now, it)
	if err == nil {
		err = r.unkept
	}
	if err != nil {
		it.refuse(err)
		return
	}
	if _, waits := res.(held); waits {
		return // answered when somebody decides
	}
	it.succeed(res)
}

// with lists the commands that have a media part of their own; everything else
// is the machine's alone, with effects.
var with map[string]func(*room, clock.Time, *item) (any, error)

func init() { // in init, since a sidebar's room is started by a command of another's
	with = map[string]func(*room, clock.Time, *item) (any, error){
		api.ConferenceJoin:  (*room).join,
		api.MediaOffer:      (*room).offer,
		api.MediaRestartICE: (*room).restart,
		api.MediaSync:       (*room).sync,

		api.ConferenceStart:     (*room).progressing,
		api.ParticipantInvite:   (*room).progressing,
		api.ParticipantTransfer: (*room).transfer,

		rtpOffer: (*room).offerPlain,
	}
}

func (r *room) dispatch(now clock.Time, it *item) (any, error) {
	if h := with[it.method]; h != nil {
		return h(r, now, it)
	}
	return r.step(now, it.command(it.method, it.params))
}

// step runs the machine and carries out what follows. Events wait in out until
// the answer has gone.
func (r *room) step(now clock.Time, c control.Command) (any, error) {
	n := len(r.out.Effects)
	res, err := r.m.Step(now, c, &r.out)
	r.carry(now, r.out.Effects[n:])
	if err != nil && fault.From(err).Code == 482 {
		r.f.loops.Add(1)
	}
	return res, err
}

// tick is the fact that time has passed.
const tick = "tick"

func (r *room) tick(now clock.Time) {
	r.m.Tick(now, &r.out)
	r.carry(now, r.out.Effects)
	for _, l := range r.legs {
		if !l.needAt.IsZero() && l.needAt <= now {
			r.tellNeeds(l)
		}
		r.endOld(now, l)
	}
	r.mixing.tick(now, r)
	r.watchPaths(now)
	r.notes.askStats(now)
}

// settle ends a turn: slots, then events, then documents.
func (r *room) settle(now clock.Time) {
	if r.refill {
		r.refill = false
		r.fillAllSlots()
	}
	r.tellMixer()
	for i := range r.out.Events {
		if !r.stopping { // when the node goes, the goodbye says all there is
			r.addServers(&r.out.Events[i])
			r.notes.event(&r.out.Events[i])
			r.observed(r.out.Events[i])
		}
	}
	clear(r.out.Events)
	clear(r.out.Effects)
	r.out.Events, r.out.Effects = r.out.Events[:0], r.out.Effects[:0]
	r.count()
	r.phase(now)
	r.showMain()
	if r.over {
		if !r.stopping {
			r.notes.finish()
		}
		return
	}
	r.floor.tell(now, r)
	r.tellSlots()
	r.notes.settle(now)
}

// count publishes what others may ask about.
func (r *room) count() {
	c := r.m.Conference()
	n := r.m.Users()
	r.f.users.Add(int64(n - r.users))
	r.users = n
	st := Status{Active: c.Phase == model.Active, Locked: c.Locked, Title: c.Title, UserCount: n, E2EE: r.m.E2EE()}
	if old := r.status.Load(); old == nil || *old != st {
		r.status.Store(&st)
	}
}

// carry does the work a commit left.
func (r *room) carry(now clock.Time, effects []control.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case control.CloseMedia:
			r.closeMedia(e)
		case control.EndTrack:
			r.f.cfg.Plane.Unpublish(r.id, e.Track)
			delete(r.floor.last, e.Track)
			r.refill = true
		case control.MuteTrack:
			r.f.cfg.Plane.Mute(r.id, e.Track, e.Muted)
		case control.WantSub:
			r.wantSub(now, e.Sub)
		case control.EndSub:
			r.endSub(now, e)
		case control.JoinSettled:
			r.joinSettled(now, e)
		case control.SayGoodbye:
			r.goodbye(e.Session, e.Goodbye)
		case control.Remember:
			r.remember(e)
		case control.Finished:
			r.over, r.why = true, e.Reason
		default:
			r.further(now, e)
		}
	}
}

func (r *room) goodbye(id ids.Session, g api.Goodbye) {
	if s := r.sessions[id]; s != nil {
		(*s.sink.Load()).Goodbye(g)
	}
}

func (r *room) closeMedia(e control.CloseMedia) {
	l := r.legs[e.MS]
	if l == nil || l.conn != e.Conn {
		return
	}
	r.closePlain(l, e.Reason)
	if l.opened {
		r.f.cfg.Plane.Close(l.conn, e.Reason)
	}
	delete(r.conns, l.conn)
	if r.m.Conference().Media[e.MS] == nil { // closed for good, not reset
		delete(r.legs, e.MS)
		delete(r.paths.since, e.MS)
		if len(l.dev.Media) == 0 {
			delete(r.cnames, l.dev)
		}
	}
	r.refill = true
}

// handleMedia turns what the media side says into facts.
func (r *room) handleMedia(now clock.Time, e plane.Event) {
	if n := r.conns[e.Conn].line(e.Conn); n != nil && e.Kind <= plane.LinkFailed {
		r.plainLink(now, r.conns[e.Conn], n, e)
		return
	}
	switch e.Kind {
	case plane.LinkConnected:
		r.link(now, e, model.LinkConnected)
	case plane.LinkDisconnected:
		r.link(now, e, model.LinkDisconnected)
	case plane.LinkFailed:
		if l := r.conns[e.Conn]; l != nil {
			l.failed = true
		}
		r.link(now, e, model.LinkFailed)
	case plane.TrackLive:
		if r.mixing.flows(now, e.Track) {
			r.refill = true
			return
		}
		r.fact(now, control.TrackHeard, control.Heard{Track: e.Track, SSRC: e.SSRC})
	case plane.KeyPressed:
		r.keyPressed(now, e)
	case plane.LayersWanted:
		r.layersWanted(now, e)
	case plane.TracksWithheld:
		r.withheld(e)
	case plane.TrackEnded:
		if l := r.conns[e.Conn]; l != nil && l.rtp != nil {
			return // its phone changes SSRCs as it likes; that it ceased is told otherwise
		}
		r.fact(now, control.TrackLost, control.Heard{Track: e.Track})
	case plane.SpeakersChanged:
		r.floor.heard(now, e.Speakers)
		r.refill = true
	case plane.DataOpened, plane.DataMessage, plane.DataClosed: // nothing uses data channels yet
	}
}

func (r *room) link(now clock.Time, e plane.Event, s model.LinkState) {
	r.fact(now, control.LinkChanged, control.Link{Conn: e.Conn, State: s, Why: e.Reason})
}

func (r *room) fact(now clock.Time, method string, params any) {
	_, _ = r.step(now, control.Command{Method: method, Params: params})
}
