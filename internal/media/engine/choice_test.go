package engine_test

import (
	"fmt"
	"testing"
	"time"

	prtp "github.com/pion/rtp"

	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

// guest has a camera and a microphone.
type guest struct {
	cam, mic *pub
	level    uint8 // -dBov; 127: digital silence
	asked    int
	begun    bool
}

// party is a room in which people speak.
type party struct {
	*room
	guests []*guest
	n      int
}

func newParty(t *testing.T, shards, n int) *party {
	p := &party{room: newRoom(t, shards)}
	for i := range n {
		x := p.publisher(i%shards, plane.Video, plane.Audio)
		cam := x.prepare("0", plane.Video, uint32(0x100+i))
		cam.track.Source = "camera"
		x.announce(cam)
		mic := x.prepare("1", plane.Audio, uint32(0x200+i))
		mic.track.Source = "microphone"
		x.announce(mic)
		p.guests = append(p.guests, &guest{cam: cam, mic: mic, level: 90})
	}
	return p
}

// play lets everybody send for a while: 50 packets of sound and 25 pictures a second.
func (p *party) play(d time.Duration) {
	for end := p.now.Add(d); p.now < end; p.n++ {
		for _, g := range p.guests {
			if p.n%2 == 0 {
				key := asked(g.cam, g.asked) || !g.begun
				g.asked, g.begun = len(g.cam.p.got), true
				g.cam.frame(key)
			}
			g.mic.ext = map[uint8][]byte{pubExts[plane.ExtAudioLevel]: {0x80 | g.level}}
			g.mic.send(make([]byte, 60), false)
			g.mic.ts += 960
		}
		p.run(20 * time.Millisecond)
	}
}

// speaks makes one person the only one to talk.
func (p *party) speaks(who int) {
	for i, g := range p.guests {
		g.level = 90
		if i == who {
			g.level = 30
		}
	}
}

// viewer subscribes to everything.
type viewer struct {
	*peer
	cams, mics []plane.Subscription
	from       map[uint32]int
}

func (p *party) viewer(shard, lastN, loudest int) *viewer {
	m := plane.LegMedia{LastN: lastN, Loudest: loudest}
	for i := range p.guests {
		m.Sections = append(m.Sections,
			plane.Section{MID: fmt.Sprint("s", 2*i), Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}},
			plane.Section{MID: fmt.Sprint("s", 2*i+1), Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}})
	}
	v := &viewer{peer: p.join(shard, m), from: map[uint32]int{}}
	for i, g := range p.guests {
		v.cams = append(v.cams, v.subscribe(g.cam, plane.Subscription{MID: fmt.Sprint("s", 2*i)}))
		v.mics = append(v.mics, v.subscribe(g.mic, plane.Subscription{MID: fmt.Sprint("s", 2*i+1)}))
	}
	return v
}

// configure changes how many it gets.
func (v *viewer) configure(lastN, loudest int) {
	v.media.LastN, v.media.Loudest = lastN, loudest
	v.r.shards[v.shard].ConfigureLeg(v.r.now, v.leg, v.media)
}

// got tells of which subscriptions something came since it was last asked.
func (v *viewer) got(subs []plane.Subscription) (out []int) {
	for i, s := range subs {
		n := len(v.rtpGot(s.SSRC))
		if n > v.from[s.SSRC] {
			out = append(out, i)
		}
		v.from[s.SSRC] = n
	}
	return out
}

// withheld is what the receiver was told last.
func (v *viewer) withheld() (out []string) {
	for _, ev := range v.r.events {
		if ev.Kind == plane.TracksWithheld && ev.Conn == v.conn {
			out = nil
			for _, w := range ev.Withheld {
				out = append(out, fmt.Sprint(w.Track, " ", w.Why))
			}
		}
	}
	return out
}

// unbroken reports the first hole in what a receiver got of an SSRC.
func unbroken(t *testing.T, v *viewer, s plane.Subscription) {
	t.Helper()
	var last *prtp.Packet
	for _, q := range v.rtpGot(s.SSRC) {
		if last != nil && (q.SequenceNumber != last.SequenceNumber+1 || int32(q.Timestamp-last.Timestamp) <= 0) {
			t.Fatalf("%x: %d/%d follows %d/%d", s.SSRC, q.SequenceNumber, q.Timestamp, last.SequenceNumber, last.Timestamp)
		}
		last = q
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// A receiver of the last N is sent the cameras of who spoke last, which change
// while people talk, and what it pins; it is told what it is not sent, and its
// numbers have no holes. Others get all.
func TestLastN_CamerasFollowTheSpeakers(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			p := newParty(t, shards, 5)
			v, all := p.viewer(shards-1, 2, 0), p.viewer(0, 0, 0)
			settle := func() []int {
				p.play(3 * time.Second)
				v.got(v.cams)
				p.play(time.Second)
				return v.got(v.cams)
			}
			p.play(100 * time.Millisecond)
			same(t, "at once", len(v.got(v.cams)) <= 2, true)
			first := settle()
			same(t, "nobody spoke", len(first), 2)
			p.speaks(4)
			same(t, "the fifth speaks", contains(settle(), 4), true)
			p.speaks(2)
			same(t, "the third speaks", settle(), []int{2, 4})
			var want []string
			for _, s := range []int{0, 1, 3} {
				want = append(want, fmt.Sprint(v.cams[s].Track, " last-n"))
			}
			same(t, "told", v.withheld(), want)

			s := v.cams[0]
			s.Priority = 1
			v.subscribe(p.guests[0].cam, s)
			same(t, "the first is pinned", settle(), []int{0, 2})
			for _, i := range []int{1, 3} {
				o := v.cams[i]
				o.Priority = 2
				v.subscribe(p.guests[i].cam, o)
			}
			same(t, "more are pinned than there are places", settle(), []int{0, 1, 3})
			for _, i := range []int{0, 1, 3} {
				v.subscribe(p.guests[i].cam, v.cams[i])
			}
			same(t, "none is pinned", settle(), []int{2, 4})

			g := p.guests[2].cam
			p.shards[0].MuteTrack(p.now, g.id, true)
			if shards > 1 {
				p.shards[1].MuteTrack(p.now, g.id, true)
			}
			same(t, "a camera that is off has no place", len(settle()), 2)
			for _, e := range p.shards {
				e.MuteTrack(p.now, g.id, false)
			}
			same(t, "on again", settle(), []int{2, 4})
			v.configure(4, 0)
			same(t, "four", len(settle()), 4)
			v.configure(0, 0)
			same(t, "all", settle(), []int{0, 1, 2, 3, 4})
			same(t, "told that it gets all", len(v.withheld()), 0)
			for _, s := range v.cams {
				unbroken(t, v, s)
			}
			for i, s := range all.cams {
				if n := len(all.rtpGot(s.SSRC)); n < 25*30 {
					t.Errorf("the other receiver: %d pictures of %d", n, i)
				}
				unbroken(t, all, s)
			}
		})
	}
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// Screens do not count and are always sent; slots are chosen otherwise.
func TestLastN_ScreensAndSlotsDoNotCount(t *testing.T) {
	p := newParty(t, 1, 3)
	p.guests[2].cam.track.Source = "screen"
	e := p.shards[0]
	e.RemoveTrack(p.now, p.guests[2].cam.id, &p.outs[0])
	e.AddTrack(p.now, engine.TrackConfig{ID: p.guests[2].cam.id, Track: p.guests[2].cam.track, Leg: p.guests[2].cam.p.leg}, &p.outs[0])
	v := p.viewer(0, 1, 0)
	slot := v.subscribe(p.guests[1].cam, plane.Subscription{MID: "s0", Slot: true})
	p.speaks(0)
	p.play(3 * time.Second)
	v.got(v.cams)
	v.got([]plane.Subscription{slot})
	p.play(time.Second)
	same(t, "sent", v.got(v.cams), []int{0, 2})
	same(t, "the slot", len(v.got([]plane.Subscription{slot})), 1)
}

// What a receiver does not want to see takes no place, and a picture that nobody
// is sent need not be encoded in all sizes.
func TestLastN_HiddenTakesNoPlace(t *testing.T) {
	p := newParty(t, 1, 3)
	v := p.viewer(0, 1, 0)
	p.speaks(1)
	p.play(2 * time.Second)
	s := v.cams[1]
	s.Paused = true
	v.subscribe(p.guests[1].cam, s)
	p.speaks(0)
	p.play(3 * time.Second)
	p.speaks(1)
	p.play(3 * time.Second)
	v.got(v.cams)
	p.play(time.Second)
	same(t, "the hidden one speaks", v.got(v.cams), []int{0})
	for _, w := range v.withheld() {
		if w == fmt.Sprint(s.Track, " last-n") {
			t.Error("told of what it does not want")
		}
	}
}

// Of many microphones the loudest are heard, from the first word on; a receiver
// that hears all does; nobody misses a number.
func TestLoudestK_WhoSpeaksIsHeard(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			p := newParty(t, shards, 6)
			v, all := p.viewer(shards-1, 0, 2), p.viewer(0, 0, 0)
			heard := func(d time.Duration) []int {
				v.got(v.mics)
				p.play(d)
				return v.got(v.mics)
			}
			p.play(time.Second)
			same(t, "in silence", len(heard(time.Second)), 2)
			p.speaks(5)
			same(t, "within three packets", contains(heard(60*time.Millisecond), 5), true)
			p.guests[3].level = 35
			heard(200 * time.Millisecond)
			same(t, "two talk", heard(time.Second), []int{3, 5})
			p.guests[0].level = 34
			same(t, "a third is no louder", heard(time.Second), []int{3, 5})
			p.guests[5].level = 90
			heard(500 * time.Millisecond)
			same(t, "one pauses", heard(time.Second), []int{0, 3})
			p.guests[1].level = 20
			p.play(20 * time.Millisecond)
			p.guests[1].level = 90
			heard(100 * time.Millisecond)
			same(t, "a click changes nothing for long", heard(time.Second), []int{0, 3})

			e := p.shards[3%shards]
			e.MuteTrack(p.now, p.guests[3].mic.id, true)
			if shards > 1 {
				p.shards[1-3%shards].MuteTrack(p.now, p.guests[3].mic.id, true)
			}
			heard(200 * time.Millisecond)
			same(t, "who is muted gives up the seat", len(heard(time.Second)), 2)
			v.configure(0, 4)
			heard(200 * time.Millisecond)
			same(t, "four", len(heard(time.Second)), 4)
			v.configure(0, 0)
			heard(200 * time.Millisecond)
			same(t, "all", heard(time.Second), []int{0, 1, 2, 4, 5})
			for i := range v.mics {
				unbroken(t, v, v.mics[i])
				unbroken(t, all, all.mics[i])
				if n := len(all.rtpGot(all.mics[i].SSRC)); i != 3 && n < 50*8 {
					t.Errorf("the other receiver: %d packets of %d", n, i)
				}
			}
		})
	}
}

// A picture for which there is no room is told to be missing, and told to be
// back.
func TestWithheld_ForLackOfRoom(t *testing.T) {
	s := &stage{room: newRoom(t, 1), budget: map[*peer]uint64{}}
	s.cams = append(s.cams, newCamera(s.room, 0), newCamera(s.room, 0))
	v := &viewer{peer: screened(s.room, 0, 2)}
	a := v.subscribe(s.cams[0].enc[0], plane.Subscription{MID: "s0", Priority: 1})
	b := v.subscribe(s.cams[1].enc[0], plane.Subscription{MID: "s1"})
	s.budget[v.peer] = 3_000_000
	s.play(5 * time.Second)
	same(t, "with room", len(v.withheld()), 0)
	s.budget[v.peer] = 200_000
	s.play(4 * time.Second)
	same(t, "without", v.withheld(), []ids.Track{b.Track + " bandwidth"})
	_, _, n := v.shows(a.SSRC, 0)
	s.play(time.Second)
	if frames, _, _ := v.shows(a.SSRC, n); len(frames) < 29 {
		t.Errorf("the first: %d frames", len(frames))
	}
	s.budget[v.peer] = 3_000_000
	s.play(20 * time.Second)
	same(t, "with room again", len(v.withheld()), 0)
}
