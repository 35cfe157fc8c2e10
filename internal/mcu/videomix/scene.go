package videomix

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/compose"
	"parley/internal/mcu/picture"
	"parley/internal/mcu/videochild"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

// streamKey is the class of outputs that share an encoder.
type streamKey struct {
	view
	codec  payload.Codec
	grade  int
	every  int
	maxNAL int
}

// stream is one encoder and the outputs it serves.
type stream struct {
	key     streamKey
	id      uint32
	rate    int
	members int
	used    bool
	lastKey clock.Time
	asked   bool       // a keyframe is on its way
	later   clock.Time // when to ask for the next, 0: no need
}

func (s *stream) encoder() string { return videocodec.Name(s.key.codec) }

// keyBetween is the least between two keyframes made for receivers: requests
// within are answered by one.
const keyBetween = 500 * time.Millisecond

// wantKey asks the encoder for a keyframe, now or when it may.
func (h *half) wantKey(now clock.Time, st *stream) {
	if st.asked {
		return
	}
	if st.lastKey != 0 && now.Sub(st.lastKey) < keyBetween {
		st.later = st.lastKey.Add(keyBetween)
		return
	}
	st.asked, st.later = true, 0
	if h.composer != nil {
		h.composer.Key(st.id)
	}
}

// want is the class an output belongs to now.
func (h *half) want(now clock.Time, o *output) (streamKey, int) {
	w, ht, fps := o.size()
	if o.Only != "" {
		w, ht = h.onlySize(o)
	}
	full := fullRate(w, ht, fps)
	o.rate.update(now, o.bound(), full)
	g, p := grades[o.rate.grade], steps[h.pace.level]
	div := g.div * p.div
	k := streamKey{
		codec: payload.ByName(o.Codec.Name), grade: o.rate.grade, maxNAL: o.maxNAL(),
		every: max(1, (compose.TickRate+fps-1)/fps) * g.every * p.every,
	}
	k.view = view{layout: o.Layout, w: max(w/div, 64) &^ 1, h: max(ht/div, 64) &^ 1, names: o.Names, pins: joinPins(o.Pins), only: o.Only}
	if o.Only != "" {
		k.view = view{only: o.Only, w: k.w, h: k.h}
		k.every = 1
	} else if d := first(&h.room, k.view); d != "" && d == o.Listener {
		k.not = d
	}
	rate := full / (p.div * p.div)
	if b := int(o.bound()); b > 0 {
		rate = min(rate, b)
	}
	return k, max(rate, 30_000)
}

// onlySize is the size of a transcoded source, within what the receiver wants.
func (h *half) onlySize(o *output) (int, int) {
	s := h.sources[o.Only]
	if s == nil || s.w == 0 {
		return 640, 360
	}
	w, ht := s.w, s.h
	if o.Width > 0 && o.Height > 0 && (w > o.Width || ht > o.Height) {
		f := picture.Fit(picture.Rect{W: o.Width &^ 1, H: o.Height &^ 1}, w, ht)
		w, ht = f.W, f.H
	}
	return max(w, 64) &^ 1, max(ht, 64) &^ 1
}

func joinPins(p []ids.Track) string {
	var b strings.Builder
	for _, t := range p {
		b.WriteString(string(t))
		b.WriteByte(' ')
	}
	return b.String()
}

// arrange works out what is to be made, after any change; with h.mu held.
func (h *half) arrange(now clock.Time) {
	if h.closed || h.composer == nil {
		return
	}
	for _, st := range h.streams {
		st.used, st.members = false, 0
	}
	for _, o := range h.outputs {
		k, rate := h.want(now, o)
		st := h.streams[k]
		if st == nil {
			st = &stream{key: k, id: h.id()}
			h.streams[k] = st
		}
		if !st.used || rate < st.rate {
			st.rate = rate
		}
		st.used = true
		st.members++
		if o.stream != st {
			o.stream, o.begun = st, false
			h.wantKey(now, st)
		}
	}
	for k, st := range h.streams {
		if !st.used {
			delete(h.streams, k)
		}
	}
	h.show(now)
}

// show makes the scene of all streams, opens and closes decoders, and tells.
func (h *half) show(now clock.Time) {
	var scene compose.Scene
	canvases := map[view]uint32{}
	places := map[view][]place{}
	for _, k := range h.order() {
		st := h.streams[k]
		if _, ok := canvases[k.view]; !ok {
			id := h.canvases[k.view]
			if id == 0 {
				id = h.id()
			}
			canvases[k.view], places[k.view] = id, arrange(&h.room, k.view)
		}
		scene.Streams = append(scene.Streams, compose.Stream{
			ID: st.id, Canvas: canvases[k.view], Codec: k.codec, Rate: st.rate, Every: k.every, MaxNAL: k.maxNAL, Follow: k.only != "",
		})
	}
	h.canvases = canvases
	h.demand(now, places)
	for v, id := range canvases {
		scene.Canvases = append(scene.Canvases, compose.Canvas{ID: id, W: v.w, H: v.h, Tiles: h.tiles(places[v])})
	}
	slices.SortFunc(scene.Canvases, func(a, b compose.Canvas) int { return int(a.ID) - int(b.ID) })
	if !reflect.DeepEqual(scene, h.scene) {
		h.scene = scene
		h.composer.Set(scene)
	}
	h.contributors(places)
}

// order lists the streams so that equal states give equal scenes.
func (h *half) order() []streamKey {
	keys := make([]streamKey, 0, len(h.streams))
	for k := range h.streams {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b streamKey) int { return int(h.streams[a].id) - int(h.streams[b].id) })
	return keys
}

func (h *half) tiles(ps []place) []picture.Tile {
	out := make([]picture.Tile, len(ps))
	for i, p := range ps {
		out[i] = p.Tile
		if s := h.sources[p.track]; s != nil {
			out[i].Source = int(s.film)
		}
	}
	return out
}

// demand opens decoders for what is shown, lets others run out, and tells the
// room which sources are needed, and how large.
func (h *half) demand(now clock.Time, places map[view][]place) {
	var wants []mcu.Want
	for _, ps := range places {
		for _, p := range ps {
			if p.track == "" {
				continue
			}
			i := slices.IndexFunc(wants, func(w mcu.Want) bool { return w.Track == p.track })
			if i < 0 {
				i = len(wants)
				wants = append(wants, mcu.Want{Track: p.track})
			}
			wants[i].Width, wants[i].Height = max(wants[i].Width, p.W), max(wants[i].Height, p.H)
		}
	}
	slices.SortFunc(wants, func(a, b mcu.Want) int { return strings.Compare(string(a.Track), string(b.Track)) })
	for t, s := range h.sources {
		shown := slices.ContainsFunc(wants, func(w mcu.Want) bool { return w.Track == t })
		if shown {
			s.idle = 0
		} else if s.idle == 0 {
			s.idle = now
		}
	}
	for _, w := range wants {
		if h.sources[w.Track] == nil && len(h.sources) < h.cfg.MaxSources {
			if i := slices.IndexFunc(h.room.Sources, func(s plane.MixSource) bool { return s.Track == w.Track }); i >= 0 {
				h.open(now, w.Track, payload.ByName(h.room.Sources[i].Codec.Name))
			}
		}
	}
	if !slices.Equal(wants, h.wants) {
		h.wants = wants
		h.host.Want(plane.Video, slices.Clone(wants))
	}
}

// contributors tells who is to be seen in each output: a tile that has had a
// frame, at most 15 (RFC 3550, section 5.1).
func (h *half) contributors(places map[view][]place) {
	for t, o := range h.outputs {
		if o.stream == nil {
			continue
		}
		o.csrc = o.csrc[:0]
		var now []plane.Contributor
		for _, p := range places[o.stream.key.view] {
			s := h.sources[p.track]
			i := slices.IndexFunc(h.room.Sources, func(m plane.MixSource) bool { return m.Track == p.track })
			if s == nil || s.shown == 0 || i < 0 || o.Anonymous || o.Only != "" || len(o.csrc) == 15 {
				continue
			}
			if m := &h.room.Sources[i]; m.SrcID != 0 && !slices.Contains(o.csrc, m.SrcID) {
				o.csrc = append(o.csrc, m.SrcID)
				now = append(now, plane.Contributor{SrcID: m.SrcID, CNAME: m.CNAME})
			}
		}
		if !o.Anonymous && o.Only == "" && !slices.Equal(now, o.told) {
			o.told = now
			h.host.Contributors(t, slices.Clone(now))
		}
	}
}

// rates moves outputs between grades and streams to their members' lowest limit.
func (h *half) rates(now clock.Time) {
	low := map[*stream]int{}
	for _, o := range h.outputs {
		k, rate := h.want(now, o)
		if o.stream == nil || k != o.stream.key {
			h.arrange(now)
			return
		}
		if r, ok := low[o.stream]; !ok || rate < r {
			low[o.stream] = rate
		}
	}
	for st, rate := range low {
		// Small changes upward are not worth telling an encoder.
		if st.rate != rate && (rate < st.rate || rate > st.rate*21/20) {
			st.rate = rate
			for i := range h.scene.Streams {
				if h.scene.Streams[i].ID == st.id {
					h.scene.Streams[i].Rate = rate
				}
			}
			h.composer.Rate(st.id, rate)
		}
	}
}

// coded takes a picture from the composer and sends it to all outputs of its
// stream; those new to it begin with a keyframe.
func (h *half) coded(c videochild.Coded) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	due := min(clock.Time(c.Due)+h.shift, now) // a process does not make the future
	for t, o := range h.outputs {
		if o.stream == nil || o.stream.id != c.Stream || !c.Key && !o.begun {
			continue
		}
		if c.Key {
			o.stream.lastKey, o.stream.asked = now, false
			o.begun = true
		}
		at, ts := due, o.stamp(due)
		if o.Only != "" {
			ts = c.TS
			at = o.line.instant(now, ts)
		} else if at <= o.last {
			continue // time does not go back between two encoders
		}
		h.host.Emit(t, at, o.packets(&c, at, ts))
	}
}

func busy(l videochild.Load) time.Duration { return time.Duration(l.Busy) }
