package compose

import (
	"slices"

	"parley/internal/mcu/picture"
)

// canvas keeps its picture from tick to tick: only tiles whose frame or label
// changed are drawn again.
type canvas struct {
	Canvas
	frame   *picture.Frame
	drawn   []drawn
	painter *picture.Painter
	ts      uint32 // of the first tile's frame
}

// drawn is what a tile shows.
type drawn struct {
	tile   picture.Tile
	number uint64
	shown  bool
}

func (k *canvas) set(want Canvas) {
	if k.frame == nil || k.W != want.W || k.H != want.H {
		k.frame = picture.New(want.W, want.H)
		k.drawn = nil
	}
	same := len(k.Tiles) == len(want.Tiles)
	for i := 0; same && i < len(k.Tiles); i++ {
		same = k.Tiles[i].Rect == want.Tiles[i].Rect
	}
	if !same || k.drawn == nil {
		k.frame.Fill(picture.Ground)
		k.drawn = make([]drawn, len(want.Tiles))
	}
	k.Canvas = want
}

// forget draws a source's tiles anew.
func (k *canvas) forget(source int) {
	for i := range k.drawn {
		if i < len(k.Tiles) && k.Tiles[i].Source == source {
			k.drawn[i].shown = false
		}
	}
}

func (k *canvas) paint(films map[int]Film) {
	var again []picture.Rect
	for i := range k.Tiles {
		t := &k.Tiles[i]
		var f *picture.Frame
		now := drawn{tile: *t, shown: true}
		if film := films[t.Source]; film != nil && !t.NoVideo {
			var ts uint32
			f, now.number, ts = film.Latest()
			if now.number == 0 {
				f = nil
			} else if i == 0 {
				k.ts = ts
			}
		}
		over := slices.ContainsFunc(again, func(r picture.Rect) bool { return overlap(r, t.Rect) })
		if k.drawn[i] == now && !over {
			continue
		}
		k.painter.Paint(k.frame, t, f)
		k.drawn[i] = now
		again = append(again, t.Rect)
	}
}

func overlap(a, b picture.Rect) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}
