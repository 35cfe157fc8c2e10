package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/speaker"
)

// The loudest of a conference: where a receiver is to hear only some microphones,
// each of these has a seat. It is decided packet by packet, since a word must not
// lose its beginning, and for all receivers at once; who shall hear everybody
// does (a mixer, a recorder).

const (
	// voiceAttack and voiceDecay follow a voice: a click takes no seat, a pause for
	// breath loses none.
	voiceAttack = 40 * time.Millisecond
	voiceDecay  = 25 // dB a second
	// voiceLead is by how many dB one without a seat must be louder.
	voiceLead = 6
	// voiceLeast is the loudness below which nobody is unseated: room noise.
	voiceLeast = speaker.Silent - 60
)

// voice is how loud a microphone is, in dB above silence.
type voice struct {
	loud   float64
	at     clock.Time // of the last packet with a level; zero: it tells none
	seated bool
}

// podium is who is heard.
type podium struct {
	size  int // seats; 0: everybody is heard
	seats []*track
}

func (v *voice) now(now clock.Time) float64 {
	return max(0, v.loud-voiceDecay*now.Sub(v.at).Seconds())
}

func (v *voice) hear(now clock.Time, level uint8) {
	loud := float64(speaker.Silent - min(level, speaker.Silent))
	was := 0.0
	if v.at != 0 {
		was = v.now(now)
	}
	if loud > was {
		dt := min(max(now.Sub(v.at), 0), voiceAttack)
		was += (loud - was) * float64(dt) / float64(voiceAttack)
	}
	v.loud, v.at = was, now
}

// hear takes the level of a packet of a microphone.
func (y *podium) hear(now clock.Time, t *track, level uint8) {
	v := &t.voice
	v.hear(now, level)
	switch {
	case v.seated:
		return
	case len(y.seats) < y.size:
		y.seats = append(y.seats, t)
	default:
		i := y.quietest(now)
		if v.loud < voiceLeast || v.loud < y.seats[i].voice.now(now)+voiceLead {
			t.src.Quiet = true
			return
		}
		o := y.seats[i]
		o.voice.seated, o.src.Quiet = false, true
		y.seats[i] = t
	}
	v.seated, t.src.Quiet = true, false
}

func (y *podium) quietest(now clock.Time) (at int) {
	for i, t := range y.seats {
		if t.voice.now(now) < y.seats[at].voice.now(now) {
			at = i
		}
	}
	return at
}

// leave gives up a track's seat: it is muted, or gone.
func (y *podium) leave(t *track) {
	for i, x := range y.seats {
		if x == t {
			y.seats = append(y.seats[:i], y.seats[i+1:]...)
			break
		}
	}
	t.voice, t.src.Quiet = voice{}, false
}

// resize changes the number of seats; who loses one is the quietest.
func (y *podium) resize(now clock.Time, size int, all []*track) {
	if size == y.size {
		return
	}
	y.size = size
	if size == 0 {
		for _, t := range all {
			t.voice, t.src.Quiet = voice{}, false
		}
		y.seats = y.seats[:0]
		return
	}
	for len(y.seats) > size {
		i := y.quietest(now)
		o := y.seats[i]
		o.voice.seated, o.src.Quiet = false, true
		y.seats = append(y.seats[:i], y.seats[i+1:]...)
	}
}

// listen lets the packets that are to be sent on compete.
func (e *Engine) listen(now clock.Time, c *conference) {
	if c.podium.size == 0 {
		return
	}
	for i := range c.packets {
		p := &c.packets[i]
		if p.Level >= speaker.Silent || p.Repaired {
			continue
		}
		if t := e.track(p.Track); t != nil && t.cfg.Track.Source != "screenAudio" {
			c.podium.hear(now, t, p.Level)
		}
	}
}

// reseat brings the seats in line with what the legs of a conference are to hear.
func (e *Engine) reseat(now clock.Time, c *conference) {
	size := 0
	for _, l := range c.members {
		size = max(size, l.media.Loudest)
	}
	c.podium.resize(now, size, c.tracks)
}

// loudestOnly reports whether a subscription is to leave out who is not heard.
func (s *subscription) loudestOnly() bool {
	return s.leg.media.Loudest > 0 && !s.proj.Slot && !s.proj.Passing && s.kind() == plane.Audio
}
