package focus

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// fakePlane records what the focus asks of the media side and plays its part
// as far as the contract goes: it refuses what a real one would.
type fakePlane struct {
	mu       sync.Mutex
	links    map[ids.Connection]plane.Open
	media    map[ids.Connection]plane.LegMedia
	tracks   map[ids.Track]plane.Track
	subs     map[ids.Subscription]plane.Subscription
	used     map[uint32]bool // SSRCs ever sent with
	stats    map[ids.Connection]plane.LinkStats
	ended    []ids.Conference
	restarts int
	log      []string
	wrong    []string           // breaches of the contract
	refuse   error              // what Open answers
	never    map[ids.Track]bool // not to be subscribed to
}

func newFakePlane() *fakePlane {
	return &fakePlane{
		links: map[ids.Connection]plane.Open{}, media: map[ids.Connection]plane.LegMedia{},
		tracks: map[ids.Track]plane.Track{}, subs: map[ids.Subscription]plane.Subscription{},
		used: map[uint32]bool{},
	}
}

func (p *fakePlane) note(format string, a ...any) { p.log = append(p.log, fmt.Sprintf(format, a...)) }
func (p *fakePlane) breach(format string, a ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, a...))
}

func (p *fakePlane) local(n int) plane.Local {
	return plane.Local{
		ICE:         plane.ICECreds{Ufrag: fmt.Sprintf("srv%d", n), Pwd: "0123456789abcdefghijklmn"},
		Fingerprint: plane.Fingerprint{Hash: "sha-256", Value: strings.TrimSuffix(strings.Repeat("AB:", 32), ":")},
		Candidates:  []plane.Candidate{{Foundation: "1", Component: 1, Transport: "udp", Priority: 1, Addr: netip.MustParseAddrPort("192.0.2.1:7882"), Typ: "host"}},
	}
}

func (p *fakePlane) Open(o plane.Open) (plane.Local, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return plane.Local{}, p.refuse
	}
	if _, ok := p.links[o.Conn]; ok {
		p.breach("open %s twice", o.Conn)
	}
	if len(o.Fingerprints) == 0 {
		p.breach("open without fingerprint")
	}
	p.links[o.Conn] = o
	p.note("open")
	return p.local(len(p.links)), nil
}

func (p *fakePlane) Configure(c ids.Connection, m plane.LegMedia) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.links[c]; !ok {
		return fault.New(404, "not-found", "no link")
	}
	p.media[c] = m
	p.note("configure %d", len(m.Sections))
	return nil
}

func (p *fakePlane) Restart(c ids.Connection, _ plane.ICECreds) (plane.Local, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.links[c]; !ok {
		return plane.Local{}, fault.New(404, "not-found", "no link")
	}
	p.restarts++
	p.note("restart")
	return p.local(100 + p.restarts), nil
}

func (p *fakePlane) Close(c ids.Connection, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, c)
	delete(p.media, c)
	for id, t := range p.tracks {
		if t.Conn == c {
			delete(p.tracks, id)
		}
	}
	for id, s := range p.subs {
		if s.Conn == c {
			delete(p.subs, id)
		}
	}
	p.note("close")
}

func (p *fakePlane) section(c ids.Connection, mid string) *plane.Section {
	m := p.media[c]
	i := slices.IndexFunc(m.Sections, func(s plane.Section) bool { return s.MID == mid })
	if i < 0 {
		return nil
	}
	return &m.Sections[i]
}

func (p *fakePlane) Publish(t plane.Track) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.section(t.Conn, t.MID); s == nil || s.Recv == nil {
		p.breach("publish %s on section %q that receives nothing", t.Track, t.MID)
	}
	for _, o := range p.tracks {
		if o.Conn == t.Conn && o.MID == t.MID && o.Track != t.Track {
			p.breach("two tracks on section %s", t.MID)
		}
	}
	p.tracks[t.Track] = t
	p.note("publish %s", t.Kind)
	return nil
}

func (p *fakePlane) Unpublish(_ ids.Conference, t ids.Track) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tracks, t)
	p.note("unpublish")
}

func (p *fakePlane) Mute(_ ids.Conference, t ids.Track, muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.tracks[t]; ok {
		k.Muted = muted
		p.tracks[t] = k
	}
	p.note("mute %v", muted)
}

func (p *fakePlane) Subscribe(s plane.Subscription) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sec := p.section(s.Conn, s.MID)
	switch {
	case sec == nil || sec.Send == nil || sec.Send.SSRC != s.SSRC && s.Topology == "": // which sends sources under their own
		p.breach("subscription on section %q that was not answered with its SSRC", s.MID)
	case s.Track != "" && p.tracks[s.Track].Track == "":
		p.breach("subscription to a track that is not published")
	}
	if p.never[s.Track] {
		p.note("refuse %s", s.Track)
		return fault.New(409, "conflict", "not this one")
	}
	old, known := p.subs[s.Sub]
	if !known && p.used[s.SSRC] && !s.Slot {
		p.breach("SSRC %d used again", s.SSRC)
	}
	if known && old.SSRC != s.SSRC {
		p.breach("SSRC of a subscription changed")
	}
	p.used[s.SSRC] = true
	p.subs[s.Sub] = s
	p.note("subscribe %s", p.tracks[s.Track].Kind)
	return nil
}

func (p *fakePlane) Unsubscribe(s ids.Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subs, s)
	p.note("unsubscribe")
}

func (p *fakePlane) Contributors(ids.Conference, ids.Track, []plane.Contributor) {}

func (p *fakePlane) EndConference(c ids.Conference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, c)
}

func (p *fakePlane) SendData(ids.Connection, uint16, bool, []byte) error { return nil }
func (p *fakePlane) Stats(c ids.Connection) (plane.LinkStats, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.stats[c]
	return s, ok
}

func (p *fakePlane) counts() (links, tracks, subs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links), len(p.tracks), len(p.subs)
}

// reaching lists what a connection is sent, by section.
func (p *fakePlane) reaching(c ids.Connection) map[string]ids.Track {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]ids.Track{}
	for _, s := range p.subs {
		if s.Conn == c {
			out[s.MID] = s.Track
		}
	}
	return out
}
