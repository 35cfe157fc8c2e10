package focus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// passer is a speaker whose SSRCs are nobody else's.
func (h *house) passer(name string, base uint32) *guest {
	h.t.Helper()
	g := &guest{client: h.client(name, "ws"), in: true}
	g.joins(api.JoinParams{Device: "dev-" + name, Tracks: []api.PublishParams{mic(), cam()}})
	g.tracks = []string{g.join.Tracks[0].Track, g.join.Tracks[1].Track}
	g.sends(plane.Audio, "mic")
	g.sends(plane.Video, "cam")
	for i := range g.lines {
		g.lines[i].Send.SSRC, g.lines[i].Send.RTXSSRC = base+uint32(i), base+100+uint32(i)
	}
	g.receives(g.join.Needed.Audio, g.join.Needed.Video)
	g.negotiates()
	h.media(plane.Event{Kind: plane.LinkConnected, Conn: g.conn()})
	return g
}

// met is what a browser knows of SSRCs: on which section it met each last.
type met map[string]string

// hears takes an answer as Chromium does, which refuses one that names an SSRC
// in another section than where it met it.
func (m met) hears(t *testing.T, answer string) {
	mid := ""
	named := met{}
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mid = v
		}
		v, ok := strings.CutPrefix(line, "a=ssrc:")
		if !ok {
			continue
		}
		ssrc, _, _ := strings.Cut(v, " ")
		if was := m[ssrc]; was != "" && was != mid {
			t.Errorf("SSRC %s was met in section %s and is named in %s", ssrc, was, mid)
		}
		if was := named[ssrc]; was != "" && was != mid {
			t.Errorf("SSRC %s is named in sections %s and %s", ssrc, was, mid)
		}
		named[ssrc] = mid
	}
	for ssrc, mid := range named {
		m[ssrc] = mid
	}
}

// gets notes what comes without being named.
func (m met) gets(h *house, c ids.Connection, people []*guest) {
	own := map[string]uint32{}
	for _, p := range people {
		for i, k := range p.tracks {
			own[k] = p.lines[i].Send.SSRC
		}
	}
	for _, s := range strings.Fields(strings.Join(sectionsOf(h, c, true), " ")) {
		mid, track, _ := strings.Cut(s, "/")
		m[fmt.Sprint(own[track])], m[fmt.Sprint(own[track]+100)] = mid, mid
	}
}

// TestPassingSourcesKeepTheirSections: whatever topology comes after another, no
// answer moves an SSRC from the section where the browser has met it.
func TestPassingSourcesKeepTheirSections(t *testing.T) {
	passing := []string{"relay", "asymmetric", "video-switching-mcu"}
	for _, first := range passing {
		t.Run(first, func(t *testing.T) {
			studio(t, func(h *house, _ *fakeMixer) {
				all := []*guest{h.passer("ana", 70_000), h.passer("bob", 80_000), h.passer("cyd", 90_000)}
				browsers := []met{{}, {}, {}}
				for _, second := range append(passing, "sfu", "switch", "mixer", "translator") {
					for _, topology := range []string{first, second, "relay", first, "switch", second} {
						all[0].set(topology)
						calmDown(all...)
						for i, g := range all {
							for _, a := range g.answers {
								browsers[i].hears(t, a)
							}
							g.answers = nil
							browsers[i].gets(h, g.conn(), all)
						}
					}
				}
			})
		})
	}
}

// TestPassingGoesOnInItsSection: from one recipe that passes to another nothing
// is negotiated, and no source is without a section.
func TestPassingGoesOnInItsSection(t *testing.T) {
	studio(t, func(h *house, _ *fakeMixer) {
		all := []*guest{h.passer("ana", 70_000), h.passer("bob", 80_000), h.passer("cyd", 90_000)}
		all[0].set("relay")
		calmDown(all...)
		before := sectionsOf(h, all[0].conn(), false)
		all[0].answers = nil
		all[0].set("asymmetric")
		pass(10 * time.Millisecond)
		if after := sectionsOf(h, all[0].conn(), false); !slices.Equal(after, before) {
			t.Errorf("sources are on %v, were on %v", after, before)
		}
		if got := h.gets(all[0], all...); got != "bob.a@asymmetric bob.v@asymmetric cyd.a@asymmetric cyd.v@asymmetric" {
			t.Error(got)
		}
		calmDown(all...)
		if n := len(all[0].answers); n != 0 {
			t.Errorf("%d negotiations, want none", n)
		}
	})
}

// TestPassingSlotTakesThePlaceOfSections: a picture that passes in a slot was in
// a section of its own, which ends in the same answer, so that the browser has
// its SSRC once.
func TestPassingSlotTakesThePlaceOfSections(t *testing.T) {
	studio(t, func(h *house, _ *fakeMixer) {
		all := []*guest{h.passer("ana", 70_000), h.passer("bob", 80_000), h.passer("cyd", 90_000)}
		all[0].set("relay")
		calmDown(all...)
		all[0].answers = nil
		all[0].set("video-switching-mcu")
		pass(100 * time.Millisecond)
		all[0].obey()
		if len(all[0].answers) != 1 {
			t.Fatalf("%d answers, want one", len(all[0].answers))
		}
		for _, ssrc := range []string{"80001", "90001"} {
			if strings.Contains(all[0].answers[0], "a=ssrc:"+ssrc) {
				t.Errorf("the answer with the slot names %s besides", ssrc)
			}
		}
		if got := h.gets(all[0], all...); strings.Contains(got, "v@relay") || !strings.Contains(got, "slot:bob.v@video-switching-mcu") {
			t.Error(got)
		}
	})
}

// sectionsOf lists the sections of a connection with what they carry.
func sectionsOf(h *house, c ids.Connection, passing bool) (out []string) {
	h.plane.mu.Lock()
	defer h.plane.mu.Unlock()
	for _, s := range h.plane.subs {
		if s.Conn == c && (!passing || s.Topology != "") {
			out = append(out, s.MID+"/"+string(s.Track))
		}
	}
	slices.Sort(out)
	return out
}
