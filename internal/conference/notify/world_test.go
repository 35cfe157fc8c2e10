package notify

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// world is a conference that is changed by hand, its notifier, and subscribers
// who lose some of what they are sent.
type world struct {
	t     *testing.T
	c     *model.Conference
	n     *Notifier
	now   clock.Time
	order uint64
	subs  []*subscriber

	truths map[string]string // of this revision
}

// subscriber is the other end of a subscription, over the wire form.
type subscriber struct {
	w        *world
	name     string
	sub      *Subscription
	doc      info.Subscriber
	lose     func() bool
	got      []Notice
	accepted int
	gap      uint32 // next version there has to be
}

var view = info.View{Labels: [][3]string{{"a0", "audio", ""}, {"v0", "video", ""}, {"s0", "video", "Slides"}}, MaxUsers: 50}

func newWorld(t *testing.T) *world {
	c := model.NewConference("conf_1", "sip:standup@example.net")
	c.Phase, c.Title, c.Rev = model.Active, "Stand-up", 1
	return &world{t: t, c: c, n: New(view, c), now: 1, truths: map[string]string{}}
}

// commit makes one revision out of changes to rows.
func (w *world) commit(users ...string) {
	w.c.Rev++
	clear(w.truths)
	for _, u := range users {
		if p := w.c.Participants[u]; p != nil {
			p.Rev = w.c.Rev
		}
		w.c.RowChanged(u)
	}
	w.n.Update(w.live())
	w.flush()
}

func (w *world) live() (n int) {
	for _, p := range w.c.Participants {
		if p.Live() {
			n++
		}
	}
	return n
}

func (w *world) flush() { w.deliver(w.n.Flush(w.now, nil)) }

// pass lets time go by, flushing when the notifier wishes.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for at := w.n.Deadline(); !at.IsZero() && at <= end; at = w.n.Deadline() {
		w.now = max(w.now, at)
		w.flush()
	}
	w.now = end
}

func (w *world) join(user string, role api.Role, state model.Presence) *model.Participant {
	w.order++
	p := &model.Participant{
		ID: ids.Participant(fmt.Sprint("part_", w.order)), User: user, Name: "Name of " + user, Role: role, State: state,
		Order: w.order, JoinedAt: w.now, Devices: map[ids.Device]*model.Device{},
	}
	if state == model.Lobby {
		p.JoinedAt = 0
	}
	w.c.Participants[user] = p
	w.device(p, "dev_"+user)
	return p
}

func (w *world) device(p *model.Participant, id string) *model.Device {
	d := &model.Device{ID: ids.Device(id), Part: p, Status: model.Connected, Reach: model.ReachOK, JoinedAt: w.now, Receives: map[string]int{}}
	if p.State == model.Lobby {
		d.Status = model.OnHold
	}
	d.Media = []*model.MediaSession{{ID: ids.MediaSession("ms_" + id), Device: d}}
	p.Devices[d.ID] = d
	return d
}

// subscribe adds a subscriber.
func (w *world) subscribe(name string, o Options) *subscriber {
	s := &subscriber{w: w, name: name, lose: func() bool { return false }}
	o.Owner, s.gap = s, o.Version+1
	w.subs = append(w.subs, s)
	var out []Notice
	s.sub, out = w.n.Subscribe(w.now, o, nil)
	w.deliver(out)
	return s
}

func (w *world) deliver(list []Notice) {
	for _, n := range list {
		n.Sub.Owner().(*subscriber).take(n)
	}
}

// view is the subscriber's at this moment.
func (s *subscriber) view() info.View {
	v := view
	if v.Group = s.sub.Group(); v.Group == info.Waiting {
		v.Self = s.sub.User()
	}
	return v
}

func (s *subscriber) read(n Notice) *info.Document {
	s.w.t.Helper()
	d := new(info.Document)
	var err error
	if s.sub != nil && s.sub.opt.Format == info.XML || len(n.Body) > 0 && n.Body[0] == '<' {
		d, err = info.ParseXML(n.Body, info.Reading{})
	} else {
		err = json.Unmarshal(n.Body, d)
	}
	if err != nil {
		s.w.t.Fatalf("%s: %v\n%s", s.name, err, n.Body)
	}
	return d
}

// take is what a subscriber does with a notification; it must hold its truth
// after each that it accepts.
func (s *subscriber) take(n Notice) {
	t := s.w.t
	t.Helper()
	s.got = append(s.got, n)
	if s.sub == nil {
		s.sub = n.Sub
	}
	if n.Version != s.gap {
		t.Fatalf("%s: version %d, want %d", s.name, n.Version, s.gap)
	}
	s.gap++
	if s.lose() && !n.Life.Terminated() {
		return
	}
	d := s.read(n)
	if d.Version != n.Version || d.State != n.State {
		t.Fatalf("%s: document says %s %d, notice %s %d", s.name, d.State, d.Version, n.State, n.Version)
	}
	if err := info.Check(d); err != nil {
		t.Fatalf("%s: %v\n%s", s.name, err, n.Body)
	}
	switch v := s.doc.Accept(d); v {
	case info.Accepted:
		s.accepted++
		s.equal(n)
	case info.Refresh:
		lose := s.lose
		s.lose = func() bool { return false } // an answer to a request of ours
		s.w.deliver(s.w.n.Again(s.w.now, s.sub, nil))
		s.lose = lose
	case info.Over:
	default:
		t.Fatalf("%s: verdict %d\n%s", s.name, v, n.Body)
	}
}

// equal holds the copy against the truth, in the subscriber's own form.
func (s *subscriber) equal(n Notice) {
	s.w.t.Helper()
	got := *s.doc.Doc
	self := got.Ext.Self
	got.Version, got.Ext = 0, &info.ConferenceExt{ConferenceMembers: got.Ext.ConferenceMembers}
	got.Ext.Rev, got.Ext.Self = 0, nil
	if g, w := written(&got, s.sub.opt.Format), s.truth(); g != w {
		s.w.t.Fatalf("%s:\n got %s\nwant %s\nbody %s", s.name, g, w, n.Body)
	}
	if u := s.sub.User(); s.w.c.Participants[u] != nil && s.view().Hides(s.w.c, u) {
		if self == nil || got.Users.User[self.User] == nil {
			s.w.t.Fatalf("%s does not know its own row: %v", s.name, self)
		}
	} else if self != nil {
		s.w.t.Fatalf("%s is told of itself: %v", s.name, self)
	}
}

// truth is the document made from scratch, written once for each view.
func (s *subscriber) truth() string {
	key := fmt.Sprint(s.w.c.Rev, s.view().Group, s.view().Self, s.sub.opt.Format)
	if t, ok := s.w.truths[key]; ok {
		return t
	}
	d := info.Build(s.w.c, s.w.live(), s.view(), nil)
	d.Ext.Rev = 0
	s.w.truths[key] = written(d, s.sub.opt.Format)
	return s.w.truths[key]
}

func written(d *info.Document, f info.Format) string {
	if f == info.XML {
		return string(info.AppendXML(nil, d))
	}
	return text(d)
}

func text(d *info.Document) string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// side is the frozen copy of a sidebar with some people in it.
func (w *world) side(r *rand.Rand, id ids.Conference) *model.Conference {
	c := model.NewConference(id, "sip:"+string(id))
	c.Phase, c.Rev = model.Active, w.c.Rev
	for i := range r.IntN(4) {
		user := fmt.Sprint("s", i)
		c.Participants[user] = &model.Participant{ID: "part", User: user, Name: fmt.Sprint("Name ", r.IntN(3)), Role: api.RoleAttendee, State: model.Joined, JoinedAt: 1}
	}
	return c
}

// change makes one random commit.
func (w *world) change(r *rand.Rand) {
	number := r.IntN(25)
	user := fmt.Sprintf("sip:u%d@example.net", number)
	p := w.c.Participants[user]
	if p == nil {
		role := []api.Role{api.RoleModerator, api.RoleAttendee, api.RolePresenter}[r.IntN(3)]
		state := model.Joined
		if r.IntN(4) == 0 {
			role, state = api.RoleLobby, model.Lobby
		}
		if p := w.join(user, role, state); number%4 == 1 {
			w.c.Hide(p)
		}
		w.commit(user)
		return
	}
	touched := []string{user}
	var d *model.Device
	for _, d = range p.Devices {
		break
	}
	switch r.IntN(16) {
	case 14: // a sidebar comes or goes
		touched = nil
		id := ids.Conference(fmt.Sprint("conf_side", r.IntN(4)))
		if w.c.Sidebars[id] != nil {
			delete(w.c.Sidebars, id)
			break
		}
		w.order++
		w.c.Sidebars[id] = &model.Sidebar{Place: model.Place{ID: id, URI: "sip:" + string(id)}, Title: "Side", ByVal: r.IntN(2) == 0, Val: w.side(r, id), Order: w.order}
	case 15: // somebody comes or goes there
		touched = nil
		for _, s := range w.c.SidebarsInOrder() {
			s.Val = w.side(r, s.ID)
			break
		}
	case 0: // the row goes
		if p.State == model.Left {
			delete(w.c.Participants, user)
		}
	case 1: // leaves, or is turned away; comes back under another alias
		if p.State == model.Left {
			w.order++
			p.State, p.Order, p.JoinedAt = model.Joined, w.order, w.now
		} else {
			p.State, p.LeftAt = model.Left, w.now
			for _, d := range p.Devices {
				d.Status, d.Gone, d.GoneBy = model.Disconnected, model.Booted, "sip:u3@example.net"
			}
		}
	case 2: // admitted
		if p.State == model.Lobby {
			p.State, p.Role, p.JoinedAt = model.Joined, api.RoleAttendee, w.now
		}
	case 3:
		if p.State == model.Joined {
			p.Role = []api.Role{api.RoleModerator, api.RoleAttendee}[r.IntN(2)]
		}
	case 4:
		p.Name = []string{"", "<x>", "中"}[r.IntN(3)]
	case 5:
		w.c.Locked, touched = !w.c.Locked, nil
	case 6:
		w.c.Title, touched = fmt.Sprint("Title ", r.IntN(3)), nil
	case 7:
		w.device(p, "dev_"+user+fmt.Sprint(r.IntN(3)))
	case 8:
		if len(p.Devices) > 1 {
			delete(p.Devices, d.ID)
		}
	case 9:
		d.Reach = []model.Reachability{model.ReachOK, model.ReachSuspended}[r.IntN(2)]
	case 10:
		d.Receives[[]string{"a0", "v0"}[r.IntN(2)]] = r.IntN(2)
	case 11:
		d.Dialog = []*model.Dialog{nil, {CallID: "c", FromTag: "f", ToTag: "t"}}[r.IntN(2)]
	default:
		ms := d.Media[0]
		if len(ms.Tracks) > 2 || len(ms.Tracks) > 0 && r.IntN(3) == 0 {
			ms.Tracks = ms.Tracks[1:]
		} else {
			ms.Tracks = append(ms.Tracks[:len(ms.Tracks):len(ms.Tracks)], &model.Track{
				ID: ids.Track(fmt.Sprint("trk_", r.IntN(1000))), Device: d, Kind: "audio", Label: "a0", SrcID: r.Uint32(), State: model.TrackLive})
		}
	}
	w.commit(touched...)
}

func resetDevices(p *model.Participant) *model.Participant {
	p.Devices = map[ids.Device]*model.Device{}
	return p
}
