package alloc_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/internal/media/alloc"
	"parley/internal/plot"
)

var keep = flag.String("traces", "", "directory to keep the picture of a split in")

// script is the budget of the picture: room for all, two falls, and a way back as
// an estimator finds it.
func script(at time.Duration) uint64 {
	switch s := at.Seconds(); {
	case s < 10:
		return 8_000_000
	case s < 25:
		return 2_500_000
	case s < 40:
		return 600_000
	case s < 45:
		return 150_000
	default:
		return uint64(min(8_000_000, 150_000+300_000*(s-45)))
	}
}

// TestPictureOfASplit: what five pictures and a sound get of a budget that falls
// and comes back; what is more important never has less. -traces draws it
// (docs/quality.md).
func TestPictureOfASplit(t *testing.T) {
	names := []string{"sound", "screen", "who speaks", "Ana", "Bo, small", "Cem"}
	list := []*alloc.Demand{
		{Class: alloc.Audio, Ladder: sound()}, {Class: alloc.Screen, Ladder: simulcast()}, {Class: alloc.Speaker, Ladder: simulcast()},
		{Class: alloc.Rest, Ladder: simulcast()}, {Class: alloc.Rest, Ladder: simulcast(), Width: 160}, {Class: alloc.Rest, Ladder: simulcast()},
	}
	const span, grain = 80 * time.Second, 250 * time.Millisecond
	p := plot.Picture{Title: "One receiver's budget and what it becomes", Span: span}
	var budget, used []plot.Point
	rows := make([]plot.Row, len(list))
	for i := range rows {
		rows[i].Label = names[i]
	}
	var s alloc.Splitter
	changes := 0
	for at := time.Duration(0); at < span; at += grain {
		b := script(at)
		u, _ := s.Split(start.Add(at), b, list)
		budget = append(budget, plot.Point{At: at, V: float64(b)})
		used = append(used, plot.Point{At: at, V: float64(u)})
		for i, d := range list {
			g := d.Given()
			if n := len(rows[i].Bars); n > 0 && rows[i].Bars[n-1].Text == text(i, g) {
				rows[i].Bars[n-1].To = at + grain
				continue
			}
			changes++
			rows[i].Bars = append(rows[i].Bars, plot.Bar{From: at, To: at + grain, Color: color(g), Text: text(i, g)})
		}
		if at > 45*time.Second && list[3].Given() > list[2].Given() {
			t.Errorf("at %v somebody has more than who speaks", at)
		}
	}
	if got := given(list); fmt.Sprint(got) != "[0 2 2 2 0 2]" {
		t.Errorf("at the end: %v", got)
	}
	if changes > 45 {
		t.Errorf("%d changes", changes)
	}
	p.Panels = []plot.Panel{
		{Height: 150, Unit: plot.Rate, Lines: []plot.Line{
			{Label: "budget", Color: "#222", Width: 1.5, Points: budget}, {Label: "given", Color: "#2a7", Width: 1.5, Points: used}}},
		{Rows: rows},
	}
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, "allocation.svg"), p.SVG(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(i, rung int) string {
	switch {
	case rung == alloc.Nothing:
		return "none"
	case i == 0:
		return "40 kbit/s"
	}
	return []string{"180", "360", "720"}[rung]
}

func color(rung int) string {
	return map[int]string{alloc.Nothing: "#ddd", 0: "#f6d7a7", 1: "#b9dfb0", 2: "#7cc6a4"}[rung]
}
