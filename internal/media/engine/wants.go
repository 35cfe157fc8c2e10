package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// Which encodings of a simulcast source somebody wants. What nobody wants its
// publisher need not send (SFM-9): a shard that mirrors a track tells its home, and the home
// tells control. Wanted is what receivers would be sent with room for all, so
// that a receiver whose path gets better finds its encoding there.

const (
	// offAfter is how long nobody must want an encoding before its publisher is
	// told: long enough for a change of the layout or of slots, and with a shard's
	// own delay and two reviews below the 5 s of SFM-9.
	offAfter = 2500 * time.Millisecond
	// lessAfter is how long a shard waits before it asks its track's home for less.
	lessAfter = time.Second
)

// appetite is the highest encoding of a track that is wanted.
type appetite struct {
	sum   int8 // by subscriptions of this shard
	told  int8 // the publisher, or the home shard, knows
	next  int8 // less than that, wanted since
	since clock.Time
	of    int // encodings that the source had then
}

// encodings is how many a source is known to have.
func (t *track) encodings() int {
	if t.src.Info == nil || !t.src.Video() {
		return 1
	}
	return max(1, min(t.src.Info.Layers, stream.MaxLayers))
}

// wantedBy is the highest encoding of a track that a subscription wants, or is
// still being sent.
func (t *track) wantedBy(s *subscription) int8 {
	n := t.encodings()
	switch p := s.proj; {
	case n == 1:
		return 0
	case !p.Awake():
		return -1
	case p.Passing:
		return int8(n - 1)
	case p.Width == 0 && s.cfg.Sub.Height == 0:
		return int8(n - 1)
	}
	want := int8(n - 1)
	for i := range n - 1 {
		if w, h := t.size(i); (s.proj.Width > 0 && w >= s.proj.Width) || (s.cfg.Sub.Height > 0 && h >= s.cfg.Sub.Height) {
			want = int8(i)
			break
		}
	}
	return max(want, min(s.proj.Showing().Encoding, int8(n-1)))
}

// usualWidth is what the best encoding of a camera has until it has been seen;
// each lower one has half of it.
const usualWidth = 1280

// size is the last known one of an encoding, or what it usually is.
func (t *track) size(i int) (width, height int) {
	y := &t.ladder.size[i]
	if y.width <= 1 {
		return usualWidth >> (t.encodings() - 1 - i), 0
	}
	return int(y.width), int(y.height)
}

// hungry makes sure that what a subscription wants is sent, at once.
func (e *Engine) hungry(t *track, want int8, out *Out) {
	if n := t.encodings(); n > 1 && t.appetite.of == n && want > t.appetite.told {
		e.tellWanted(t, want, out)
	}
}

// reviewWants looks what is wanted of a conference's tracks, and returns when it
// wants to look again.
func (e *Engine) reviewWants(now clock.Time, c *conference, out *Out) (next clock.Time) {
	some := false
	for _, t := range c.tracks {
		t.appetite.sum = -1
		some = some || t.encodings() > 1
	}
	if !some {
		return 0
	}
	for _, l := range c.members {
		for _, s := range l.subs {
			if t := e.showing(s); t != nil {
				t.appetite.sum = max(t.appetite.sum, t.wantedBy(s))
			}
		}
	}
	for _, t := range c.tracks {
		next = clock.Earliest(next, e.digest(now, t, out))
	}
	return next
}

// digest compares what is wanted of a track with what was told.
func (e *Engine) digest(now clock.Time, t *track, out *Out) clock.Time {
	n := t.encodings()
	if n < 2 || (t.leg != nil && (!t.live || t.sect < 0 || heedsLimits(t.src.Info.Codecs))) {
		return 0
	}
	a := &t.appetite
	if a.of != n { // until told otherwise everything is sent
		*a = appetite{sum: a.sum, told: int8(n - 1), of: n}
	}
	want, after := max(a.sum, 0), lessAfter // the lowest stays, so that whoever comes sees something at once
	if t.leg != nil {
		after = offAfter
		for i := range t.remotes {
			want = max(want, min(t.remotes[i].want, int8(n-1)))
		}
	}
	switch {
	case want > a.told:
		e.tellWanted(t, want, out)
	case want == a.told:
		a.since = 0
	case a.since == 0 || a.next != want:
		a.next, a.since = want, now
		return now.Add(after)
	case now.Sub(a.since) >= after:
		e.tellWanted(t, want, out)
	default:
		return a.since.Add(after)
	}
	return 0
}

// tellWanted says it to the home shard, or there to control.
func (e *Engine) tellWanted(t *track, want int8, out *Out) {
	t.appetite.told, t.appetite.since = want, 0
	if t.leg == nil {
		x := e.pool.get()
		x.To, x.From, x.Track, x.Name, x.Wants, x.Want = t.cfg.Home, e.cfg.Shard, t.cfg.ID, t.cfg.Track.Track, true, want
		out.Cross = append(out.Cross, x)
		return
	}
	out.Events = append(out.Events, plane.Event{
		Conf: t.conf.id, Kind: plane.LayersWanted, Conn: t.leg.cfg.Conn, Track: t.cfg.Track.Track, Layers: int(want) + 1,
	})
}

// remoteWants takes what a shard wants of a track that is at home here.
func (e *Engine) remoteWants(now clock.Time, t *track, c *Cross, out *Out) {
	for i := range t.remotes {
		if t.remotes[i].shard == c.From {
			t.remotes[i].want = max(c.Want, 0)
			e.hungry(t, c.Want, out)
			e.wakeConf(t.conf, now)
		}
	}
}
