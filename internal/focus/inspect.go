package focus

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// Snapshot is a conference as the administration sees it: everything, by nobody's
// view. The statistics of connections are the media side's.
type Snapshot struct {
	Live         api.LiveConference
	Participants []api.ParticipantInfo
	Devices      []api.DeviceInfo
	Sessions     []api.SessionInfo
	Connections  []api.ConnectionInfo
	Tracks       []api.TrackInfo
	Topology     api.Topology
}

// Stats are counters of the focus for metrics.
type Stats struct {
	Conferences  int    // running
	Participants int64  // live, of all conferences
	Waiting      int    // requests and facts in all mailboxes
	Loops        uint64 // joins and tracks refused because they came back (482)
}

// Stats returns a snapshot of the counters.
func (f *Focus) Stats() Stats {
	f.mu.RLock()
	defer f.mu.RUnlock()
	st := Stats{Conferences: len(f.byID), Participants: f.users.Load(), Loops: f.loops.Load()}
	for _, r := range f.byID {
		st.Waiting += r.box.len()
	}
	return st
}

// Inspect asks a running conference's loop for a snapshot; by URI or id. The
// error is a *fault.Error: 404 when none runs.
func (f *Focus) Inspect(ctx context.Context, uri string, stats bool) (*Snapshot, error) {
	f.mu.RLock()
	r := f.byURI[uri]
	if r == nil {
		r = f.byID[ids.Conference(uri)]
	}
	f.mu.RUnlock()
	if r == nil {
		return nil, errNotRunning()
	}
	got := make(chan *Snapshot, 1)
	gone := make(chan *api.Error, 1)
	it := &item{
		look:  func(r *room) { got <- r.snapshot() },
		reply: func(resp *api.Response) { gone <- resp.Error },
	}
	if err := r.box.put(it); err != nil {
		return nil, fault.From(err)
	}
	select {
	case s := <-got:
		if s == nil {
			return nil, errNotRunning()
		}
		if stats {
			f.measure(s)
		}
		return s, nil
	case <-gone:
		return nil, errNotRunning()
	case <-ctx.Done():
		return nil, fault.New(504, "timeout", "the conference did not answer in time")
	}
}

func errNotRunning() error { return fault.New(404, "not-found", "no such conference runs") }

// measure asks the media side, outside of any conference's loop.
func (f *Focus) measure(s *Snapshot) {
	for i := range s.Connections {
		if l, ok := f.cfg.Plane.Stats(ids.Connection(s.Connections[i].Conn)); ok {
			s.Connections[i].Stats = linkStats(l)
		}
	}
}

// snapshot reads the machine; called by the loop. Nil: nobody started it.
func (r *room) snapshot() *Snapshot {
	c := r.m.Conference()
	if c.Phase == model.Scheduled {
		return nil
	}
	doc, err := json.Marshal(info.Build(c, r.m.Users(), r.notes.view, nil))
	if err != nil { // our own types
		panic("focus: document does not marshal: " + err.Error())
	}
	s := &Snapshot{
		Live: api.LiveConference{
			Conf: string(c.ID), Rev: c.Rev, Phase: string(c.Phase), Locked: c.Locked, Users: r.m.Users(),
			Creator: c.Creator, Since: r.at(c.Since), Info: doc,
		},
		Participants: []api.ParticipantInfo{}, Devices: []api.DeviceInfo{}, Sessions: []api.SessionInfo{},
		Connections: []api.ConnectionInfo{}, Tracks: []api.TrackInfo{},
	}
	s.Topology = api.Topology{
		Topology: c.Choice.Topology, AllowDiscouraged: c.Choice.AllowDiscouraged, Lacking: c.Lacking, Devices: []api.LegManner{},
	}
	people := make([]*model.Participant, 0, len(c.Participants))
	for _, p := range c.Participants {
		people = append(people, p)
	}
	slices.SortFunc(people, func(a, b *model.Participant) int { return cmp.Compare(a.Order, b.Order) })
	for _, p := range people {
		r.describe(s, p)
	}
	return s
}

func (r *room) describe(s *Snapshot, p *model.Participant) {
	row := api.ParticipantInfo{
		Part: string(p.ID), User: p.User, Name: p.Name, Role: p.Role, State: string(p.State), JoinedAt: r.at(p.JoinedAt),
		Devices: []string{},
	}
	for source, on := range p.FocusMuted {
		if on {
			row.FocusMuted = append(row.FocusMuted, source)
		}
	}
	slices.Sort(row.FocusMuted)
	devs := make([]*model.Device, 0, len(p.Devices))
	for _, d := range p.Devices {
		devs = append(devs, d)
	}
	slices.SortFunc(devs, func(a, b *model.Device) int { return cmp.Compare(a.ID, b.ID) })
	for _, d := range devs {
		row.Devices = append(row.Devices, string(d.ID))
		r.describeDevice(s, p, d)
	}
	s.Participants = append(s.Participants, row)
}

func (r *room) describeDevice(s *Snapshot, p *model.Participant, d *model.Device) {
	row := api.DeviceInfo{
		Device: string(d.ID), Part: string(p.ID), User: p.User, Kind: d.Kind, Label: d.Label, Status: string(d.Status),
		JoinedAt: r.at(d.JoinedAt),
	}
	if d.Leg.Manner != "" {
		s.Topology.Devices = append(s.Topology.Devices, api.LegManner{
			Part: string(p.ID), User: p.User, Device: string(d.ID), Topology: d.Own.Topology, AllowDiscouraged: d.Own.AllowDiscouraged,
			Manner: string(d.Leg.Manner), Audio: string(d.Leg.Audio), Video: string(d.Leg.Video),
		})
	}
	if d.Status.Live() {
		row.Session = string(d.Session)
		se := api.SessionInfo{
			Session: string(d.Session), User: p.User, Device: string(d.ID), Dialect: d.Dialect, Reachability: string(d.Reach),
		}
		if e := r.sessions[d.Session]; e != nil && e.caller.Addr.IsValid() {
			se.Addr = e.caller.Addr.String()
		}
		s.Sessions = append(s.Sessions, se)
	}
	for _, ms := range d.Media {
		s.Connections = append(s.Connections, api.ConnectionInfo{
			Conn: string(ms.Conn), MS: string(ms.ID), Part: string(p.ID), Device: string(d.ID), User: p.User, State: string(ms.Link),
		})
		for _, k := range ms.Tracks {
			row.Tracks = append(row.Tracks, string(k.ID))
			s.Tracks = append(s.Tracks, api.TrackInfo{
				Track: string(k.ID), User: p.User, Device: string(d.ID), Kind: k.Kind, Source: k.Source, Label: k.Label,
				State: string(k.State), MutedBy: k.MutedBy(), Conn: string(ms.Conn),
			})
		}
	}
	s.Devices = append(s.Devices, row)
}

// observed passes on what is for more than one session. Chat is not: who runs
// the server is not part of the conversation.
func (r *room) observed(e control.Event) {
	if r.f.cfg.Observe != nil && e.To == "" && e.Users == nil && !e.Chat {
		r.f.cfg.Observe(r.uri, e)
	}
}

func (r *room) at(t clock.Time) string {
	if t.IsZero() {
		return ""
	}
	return control.Wall(r.f.cfg.Clock.Anchor(), t)
}
