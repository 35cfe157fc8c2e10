package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// serverStats is the part of the server's /stats that a run looks at.
type serverStats struct {
	Heap       uint64 `json:"heapBytes"`
	GCs        uint32 `json:"gcs"`
	Mallocs    uint64 `json:"mallocs"`
	Goroutines int    `json:"goroutines"`
	Media      struct {
		Shards []struct {
			Turns  uint64
			Socket struct{ TxDatagrams, TxMessages uint64 }
		}
	} `json:"media"`
	rss uint64
}

// maxStats caps the answer; a thousand drop reasons would fit.
const maxStats = 1 << 20

// stats asks the server, nil when it was not to be asked or does not answer;
// collect has it collect garbage first.
func (r *runner) stats(ctx context.Context, collect bool) *serverStats {
	if r.cfg.Stats == "" {
		return nil
	}
	u := r.cfg.Stats
	if collect {
		u += "?" + url.Values{"gc": {"1"}}.Encode()
	}
	s, err := readStats(ctx, r.dialer.client, u)
	if err != nil {
		r.fail(err)
		return nil
	}
	s.rss = readProcess(r.cfg.ServerPID).rss
	return s
}

func readStats(ctx context.Context, c *http.Client, u string) (*serverStats, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("stats: %s", res.Status)
	}
	var s serverStats
	if err := json.NewDecoder(io.LimitReader(res.Body, maxStats)).Decode(&s); err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	return &s, nil
}

// sent sums what all shards sent.
func (s *serverStats) sent() (datagrams, messages, turns uint64) {
	for _, x := range s.Media.Shards {
		datagrams += x.Socket.TxDatagrams
		messages += x.Socket.TxMessages
		turns += x.Turns
	}
	return datagrams, messages, turns
}

// compare fills in the measured part's share.
func compare(a, b *serverStats, forwarded uint64) *Server {
	if a == nil || b == nil {
		return nil
	}
	d0, m0, t0 := a.sent()
	d1, m1, t1 := b.sent()
	s := &Server{Datagrams: d1 - d0, Messages: m1 - m0, Turns: t1 - t0, Allocs: b.Mallocs - a.Mallocs, GCs: b.GCs - a.GCs}
	if s.Messages > 0 {
		s.PerMessage = float64(s.Datagrams) / float64(s.Messages)
	}
	if forwarded > 0 {
		s.AllocsPerFwd = float64(s.Allocs) / float64(forwarded)
	}
	return s
}

// weigh fills in the memory: base is from before the first join.
func (s *Server) weigh(base, end *serverStats, subscribers int) {
	if s == nil || base == nil || end == nil {
		return
	}
	s.HeapBefore, s.HeapAfter, s.RSSBefore, s.RSSAfter = base.Heap, end.Heap, base.rss, end.rss
	s.Goroutines = end.Goroutines
	if subscribers > 0 {
		n := float64(subscribers)
		s.HeapPerSub = (float64(end.Heap) - float64(base.Heap)) / n
		s.RSSPerSub = (float64(end.rss) - float64(base.rss)) / n
	}
}
