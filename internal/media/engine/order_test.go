package engine_test

import (
	"testing"
	"time"

	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

// What room there is goes to sound, then to the screen, then to who speaks or is
// given a priority, then to the rest; everybody keeps the lowest before anybody gets
// a better one.
func TestAllotmentInOrder(t *testing.T) {
	s := &stage{room: newRoom(t, 1), budget: map[*peer]uint64{}}
	for range 4 {
		s.cams = append(s.cams, newCamera(s.room, 0))
	}
	talker, rest, also, screen := s.cams[0], s.cams[1], s.cams[2], s.cams[3]
	x := screen.enc[0]
	x.track.Source = "screen"
	s.shards[0].RemoveTrack(s.now, x.id, &s.outs[0])
	s.shards[0].AddTrack(s.now, engine.TrackConfig{ID: x.id, Track: x.track, Leg: x.p.leg}, &s.outs[0])
	p := s.publisher(0, plane.Audio)
	mic := p.prepare("0", plane.Audio, 0xDDDD)
	mic.track.Conn = talker.p.conn // of the same device
	p.announce(mic)

	v := screened(s.room, 0, 4)
	subs := map[*camera]plane.Subscription{}
	for i, c := range s.cams {
		subs[c] = v.subscribe(c.enc[0], plane.Subscription{MID: []string{"s0", "s1", "s2", "s3"}[i]})
	}
	from := map[uint32]int{}
	play := func(d time.Duration) {
		for range int(d / (200 * time.Millisecond)) {
			for range 10 {
				mic.ext = map[uint8][]byte{pubExts[plane.ExtAudioLevel]: {0x80 | 30}}
				mic.send(make([]byte, 40), false)
				mic.ts += 960
				s.run(time.Millisecond)
			}
			s.play(190 * time.Millisecond)
		}
	}
	// shown is the encoding of each after things have settled.
	shown := func() (out string) {
		play(15 * time.Second)
		for _, c := range []*camera{screen, talker, rest, also} {
			_, _, from[subs[c].SSRC] = v.shows(subs[c].SSRC, 0)
		}
		play(2 * time.Second)
		for _, c := range []*camera{screen, talker, rest, also} {
			frames, _, _ := v.shows(subs[c].SSRC, from[subs[c].SSRC])
			if len(frames) < 40 || switches(frames) != 0 {
				t.Fatalf("unsteady: %q", frames)
			}
			out += string(frames[0])
		}
		return out
	}
	s.budget[v] = 1_150_000
	same(t, "room for one better one", shown(), "1000")
	s.budget[v] = 1_500_000
	same(t, "room for two", shown(), "1100")
	w := subs[rest]
	w.Priority = 1
	v.subscribe(rest.enc[0], w)
	same(t, "with a priority of the receiver's", shown(), "1010")
	w.Priority = 0
	v.subscribe(rest.enc[0], w)
	same(t, "taken back", shown(), "1100")
	s.budget[v] = 20_000_000
	same(t, "room for all", shown(), "2222")
}
