package node

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/metrics"
	"parley/internal/worker"
)

func TestQualityMetrics(t *testing.T) {
	h := metrics.Handler(func(v metrics.Values) {
		q := qualities{v}
		q.zero()
		for range 2 {
			q.link(&plane.LinkStats{
				RTT:     80 * time.Millisecond,
				Control: plane.RateControl{Feedback: "twcc", Target: 700_000},
				In: []plane.StreamIn{
					{Kind: plane.Audio, Live: true, Bitrate: 30_000, Score: 4.3, LossAfter: 0.03, Jitter: 8 * time.Millisecond},
					{Kind: plane.Video, Source: "screen"},
				},
				Out: []plane.StreamOut{
					{Kind: plane.Video, Source: "camera", State: "flowing", Encoding: 1, Bitrate: 500_000, Score: 2.9, FractionLost: 0.15},
					{Kind: plane.Video, Source: "camera", State: "paused", Encoding: -1},
				},
			})
		}
		measureRepairs(v, worker.Counters{Shards: []worker.ShardCounters{
			{Quality: engine.Totals{Expected: 100, Lost: 7, Repaired: 6, Freezes: 2, Frozen: 1500 * time.Millisecond, Cuts: 1}}, {Quality: engine.Totals{Lost: 1}},
		}})
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	page := w.Body.String()
	for _, want := range []string{
		`parley_link_rtt_seconds{le="0.05"} 0`, `parley_link_rtt_seconds{le="0.1"} 2`, `parley_link_rtt_seconds{le="+Inf"} 2`,
		`parley_link_estimate_bits{le="600000"} 0`, `parley_link_estimate_bits{le="1000000"} 2`, "parley_estimates_bits 1.4e+06",
		`parley_media_bits{direction="in",kind="audio"} 60000`, `parley_media_bits{direction="out",kind="video"} 1e+06`, `parley_media_bits{direction="out",kind="screen"} 0`,
		`parley_streams{direction="in",state="live"} 2`, `parley_streams{direction="in",state="silent"} 2`, `parley_streams{direction="out",state="paused"} 2`,
		`parley_streams_encoding{encoding="1"} 2`, `parley_streams_encoding{encoding="none"} 2`,
		`parley_stream_score{direction="out",kind="video",le="2.5"} 0`, `parley_stream_score{direction="out",kind="video",le="3"} 2`,
		`parley_stream_score{direction="in",kind="audio",le="4.5"} 2`, `parley_stream_score{direction="in",kind="audio",le="4"} 0`,
		`parley_stream_loss_ratio{direction="in",le="0.02"} 0`, `parley_stream_loss_ratio{direction="in",le="0.05"} 2`,
		`parley_stream_jitter_seconds{direction="in",le="0.01"} 2`,
		`parley_media_packets_total{outcome="lost"} 8`, "parley_freezes_total 2", "parley_frozen_seconds_total 1.5", `parley_estimate_changes_total{kind="cut"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
	// However many links there are, the page has as many series.
	if n := strings.Count(page, "\nparley_"); n > 250 {
		t.Errorf("%d series", n)
	}
}
