package node

import (
	"strconv"

	"parley/internal/media/plane"
	"parley/internal/metrics"
	"parley/internal/worker"
)

// Bounds of what is counted by size. Each costs a time series, so they are few:
// where a call begins to suffer (docs/statistics.md).
var (
	scoreBounds    = []float64{1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5}
	lossBounds     = []float64{0, 0.01, 0.02, 0.05, 0.1, 0.2, 1}
	jitterBounds   = []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.2}
	rttBounds      = []float64{0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8}
	estimateBounds = []float64{100e3, 300e3, 600e3, 1e6, 2.5e6, 5e6, 10e6}
)

// measureQuality reads every link. Cumulative counts with le are what
// histogram_quantile takes; they are gauges, since streams come and go.
func (n *Node) measureQuality(v metrics.Values) {
	q := qualities{v}
	q.zero()
	n.pool.EachLink(q.link)
	s := n.traces.Stats()
	v.Set("parley_traces", "", float64(s.Open))
	byLabel(v, "parley_trace_events_total", map[string]uint64{"written": s.Events, "dropped": s.Dropped})
}

// qualities writes what links tell into a scrape.
type qualities struct{ v metrics.Values }

// zero makes every series exist, so that an empty server shows 0 and not nothing.
func (q qualities) zero() {
	for _, dir := range []string{"in", "out"} {
		for _, kind := range []string{"audio", "video", "screen"} {
			q.v.Set("parley_media_bits", dir+","+kind, 0)
			q.within("parley_stream_score", dir+","+kind+",", scoreBounds, -1)
		}
		q.within("parley_stream_loss_ratio", dir+",", lossBounds, -1)
		q.within("parley_stream_jitter_seconds", dir+",", jitterBounds, -1)
	}
	q.within("parley_link_rtt_seconds", "", rttBounds, -1)
	q.within("parley_link_estimate_bits", "", estimateBounds, -1)
	q.v.Set("parley_estimates_bits", "", 0)
}

// within counts x under every bound that is not below it; a negative x is counted nowhere.
func (q qualities) within(name, labels string, bounds []float64, x float64) {
	add := func(le string, in bool) {
		n := 0.0
		if in && x >= 0 {
			n = 1
		}
		q.v.Add(name, labels+le, n)
	}
	for _, b := range bounds {
		add(strconv.FormatFloat(b, 'f', -1, 64), x <= b)
	}
	add("+Inf", true)
}

func (q qualities) link(s *plane.LinkStats) {
	if s.RTT > 0 {
		q.within("parley_link_rtt_seconds", "", rttBounds, s.RTT.Seconds())
	}
	if s.Control.Feedback != "" {
		q.within("parley_link_estimate_bits", "", estimateBounds, float64(s.Control.Target))
		q.v.Add("parley_estimates_bits", "", float64(s.Control.Target))
	}
	for i := range s.In {
		x := &s.In[i]
		kind, state := kindOf(x.Kind, x.Source), "silent"
		if x.Live {
			state = "live"
			q.stream("in", kind, x.Score, x.LossAfter, x.Jitter.Seconds())
		}
		q.v.Add("parley_streams", "in,"+state, 1)
		q.v.Add("parley_media_bits", "in,"+kind, float64(x.Bitrate))
	}
	for i := range s.Out {
		x := &s.Out[i]
		kind := kindOf(x.Kind, x.Source)
		q.v.Add("parley_streams", "out,"+x.State, 1)
		q.v.Add("parley_media_bits", "out,"+kind, float64(x.Bitrate))
		if x.Kind == plane.Video {
			q.v.Add("parley_streams_encoding", encodingName(x.Encoding), 1)
		}
		if x.Score > 0 {
			q.stream("out", kind, x.Score, x.FractionLost, x.Jitter.Seconds())
		}
	}
}

func (q qualities) stream(dir, kind string, score, loss, jitter float64) {
	if score > 0 {
		q.within("parley_stream_score", dir+","+kind+",", scoreBounds, score)
	}
	q.within("parley_stream_loss_ratio", dir+",", lossBounds, loss)
	q.within("parley_stream_jitter_seconds", dir+",", jitterBounds, jitter)
}

func kindOf(k plane.Kind, source string) string {
	switch {
	case k == plane.Audio:
		return "audio"
	case source == "screen":
		return "screen"
	}
	return "video"
}

// encodingName keeps the label's values few.
func encodingName(i int) string {
	switch {
	case i < 0:
		return "none"
	case i > 3:
		return "more"
	}
	return strconv.Itoa(i)
}

// measureRepairs adds the counters that outlive links.
func measureRepairs(v metrics.Values, c worker.Counters) {
	for i := range c.Shards {
		t := &c.Shards[i].Quality
		byLabel(v, "parley_media_packets_total", map[string]uint64{"expected": t.Expected, "lost": t.Lost, "repaired": t.Repaired})
		byLabel(v, "parley_repairs_total", map[string]uint64{"nack-in": t.NACKsIn, "nack-out": t.NACKsOut, "rtx": t.RTX, "pli-in": t.PLIsIn, "pli-out": t.PLIsOut})
		byLabel(v, "parley_estimate_changes_total", map[string]uint64{"cut": t.Cuts, "probe": t.Probes})
		v.Add("parley_freezes_total", "", float64(t.Freezes))
		v.Add("parley_frozen_seconds_total", "", t.Frozen.Seconds())
		v.Add("parley_layer_switches_total", "", float64(t.Switches))
	}
}
