package engine_test

import (
	"testing"

	"parley/internal/media/plane"
)

// A picture whose last packet has not come is worth waiting for; speech, whole
// pictures and what was fanned out already are not.
func TestUnfinishedPictures(t *testing.T) {
	r := newRoom(t, 2)
	cam := r.publisher(0, plane.Video, plane.Audio)
	video, voice := cam.publish("0", plane.Video, 1), cam.publish("1", plane.Audio, 2)
	for range 3 {
		r.subscriber(0, 1, plane.Video).subscribe(video, plane.Subscription{})
	}
	r.subscriber(1, 1, plane.Video).subscribe(video, plane.Subscription{})
	const legs = 4 // of this conference on shard 0, the publisher's too
	check := func(what string, want int) {
		t.Helper()
		if n := r.shards[0].Unfinished(); n != want {
			t.Errorf("%s: %d receivers wait, want %d", what, n, want)
		}
	}
	check("nothing", 0)
	video.send(vp8Key, false)
	check("first packet", legs)
	voice.send([]byte{1}, false)
	check("speech in between", legs)
	video.send([]byte{0, 1}, true)
	check("last packet", 0)
	r.turn()
	voice.send([]byte{1}, false)
	check("speech alone", 0)
	r.turn()
	video.send(vp8Inter, false)
	check("next picture", legs)
	r.turn()
	check("fanned out in part", 0)
	if n := r.shards[1].Unfinished(); n != 0 {
		t.Errorf("a mirror waits for what its home has sent on: %d", n)
	}
}
