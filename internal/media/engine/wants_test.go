package engine_test

import (
	"fmt"
	"testing"
	"time"

	"parley/internal/media/plane"
)

// told returns what a publisher was last told of how many encodings are wanted, 0 if
// nothing, and how often.
func told(r *room, x *pub) (last, times int) {
	for _, ev := range r.events {
		if ev.Kind == plane.LayersWanted && ev.Track == x.track.Track {
			if ev.Conn != x.p.conn {
				r.t.Fatalf("for connection %q", ev.Conn)
			}
			last, times = ev.Layers, times+1
		}
	}
	return last, times
}

// TestSFM9_UnwantedEncodingsRest: an encoding that nobody wants is told off
// within 5 s, and on again with the very change that wants it.
func TestSFM9_UnwantedEncodingsRest(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			s := &stage{room: newRoom(t, shards)}
			c := newCamera(s.room, 0)
			s.cams = append(s.cams, c)
			x := c.enc[0]
			follow := func() { // a publisher that does as it is told
				last, n := told(s.room, x)
				for i := range c.on {
					c.on[i] = n == 0 || i < last
				}
			}
			play := func(d time.Duration) {
				for range int(d / (100 * time.Millisecond)) {
					s.play(100 * time.Millisecond)
					follow()
				}
			}
			v := s.subscriber(shards-1, 1, plane.Video)
			sub := v.subscribe(x, plane.Subscription{})
			play(8 * time.Second)
			if _, n := told(s.room, x); n != 0 {
				t.Fatalf("told %d times while all is wanted", n)
			}
			for _, step := range []struct{ width, layers int }{{640, 2}, {200, 1}} {
				sub.Width = step.width
				v.subscribe(x, sub)
				play(5 * time.Second)
				if last, _ := told(s.room, x); last != step.layers {
					t.Fatalf("%d wide: %d encodings wanted", step.width, last)
				}
			}
			_, _, from := v.shows(sub.SSRC, 0)
			play(5 * time.Second)
			frames, _, from := v.shows(sub.SSRC, from)
			if len(frames) < 149 || switches(frames) != 0 || frames[0] != '0' {
				t.Fatalf("200 wide: %s", frames)
			}

			// Back: told at once, and the lowest is shown until the best is there.
			_, before := told(s.room, x)
			sub.Width = 0
			v.subscribe(x, sub)
			s.turn()
			if last, n := told(s.room, x); last != 3 || n != before+1 {
				t.Fatalf("%d encodings wanted again, told %d times", last, n-before)
			}
			play(3 * time.Second)
			frames, _, _ = v.shows(sub.SSRC, from)
			if len(frames) < 88 || frames[0] != '0' || frames[len(frames)-1] != '2' || switches(frames) > 2 {
				t.Errorf("wanted again: %s", frames)
			}

			// A change that is taken back soon costs nothing.
			_, before = told(s.room, x)
			for range 5 {
				sub.Width = 200
				v.subscribe(x, sub)
				play(time.Second)
				sub.Width = 0
				v.subscribe(x, sub)
				play(time.Second)
			}
			if _, n := told(s.room, x); n != before {
				t.Errorf("told %d times", n-before)
			}

			// Nobody at all: the lowest goes on, so that the next one sees something.
			sub.Paused = true
			v.subscribe(x, sub)
			play(5 * time.Second)
			if last, _ := told(s.room, x); last != 1 {
				t.Errorf("for nobody %d encodings", last)
			}
			sub.Paused = false
			v.subscribe(x, sub)
			s.turn()
			if last, _ := told(s.room, x); last != 3 {
				t.Errorf("%d encodings after a pause", last)
			}
		})
	}
}

// TestSFM9_TheLargestCounts: what one receiver wants small another wants large.
func TestSFM9_TheLargestCounts(t *testing.T) {
	s := &stage{room: newRoom(t, 2)}
	c := newCamera(s.room, 0)
	s.cams = append(s.cams, c)
	small, large := s.subscriber(0, 1, plane.Video), s.subscriber(1, 1, plane.Video)
	small.subscribe(c.enc[0], plane.Subscription{Width: 160})
	sub := large.subscribe(c.enc[0], plane.Subscription{Width: 1280})
	s.play(6 * time.Second)
	if _, n := told(s.room, c.enc[0]); n != 0 {
		t.Errorf("told %d times", n)
	}
	s.shards[1].Unsubscribe(s.now, sub.Sub, &s.outs[1])
	s.shards[0].RemoveRemote(s.now, c.enc[0].id, 1)
	s.play(5 * time.Second)
	if last, _ := told(s.room, c.enc[0]); last != 1 {
		t.Errorf("%d encodings for the small one", last)
	}
}
