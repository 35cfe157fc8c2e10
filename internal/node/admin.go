package node

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/debug"
	"time"

	"parley/internal/metrics"
)

// snapshot is GET /stats of the admin listener: what an operator or a leak test
// looks at first. docs/benchmarks.md says what each field means.
type snapshot struct {
	UptimeS    float64 `json:"uptimeS"`
	Goroutines int     `json:"goroutines"`
	HeapBytes  uint64  `json:"heapBytes"`
	StackBytes uint64  `json:"stackBytes"`
	GCs        uint32  `json:"gcs"`
	Mallocs    uint64  `json:"mallocs"`
	Buffers    int64   `json:"packetBuffers"`
	Media      any     `json:"media"`
	Sessions   any     `json:"sessions"`
}

// adminHandler is for a loopback listener: it asks for no token.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", n.stats)
	mux.Handle("/metrics", metrics.Handler(n.measure))
	mux.HandleFunc("/healthz", n.healthz)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return mux
}

// stats answers GET /stats; ?gc=1 collects garbage and gives freed memory back to
// the system first, for leak checks and for memory per peer.
func (n *Node) stats(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("gc") == "1" {
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(snapshot{ // fails only when the client has gone
		UptimeS: time.Since(n.started).Seconds(), Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapAlloc, StackBytes: m.StackInuse,
		GCs: m.NumGC, Mallocs: m.Mallocs, Buffers: n.pool.BuffersInUse(), Media: n.pool.Counters(), Sessions: n.sessions.Stats(),
	})
}
