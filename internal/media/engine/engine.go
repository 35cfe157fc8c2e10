package engine

import (
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// Engine is the media logic of one shard; see [API]. It belongs to the shard's
// goroutine.
type Engine struct {
	cfg Config
}

// New returns an engine without legs or tracks.
func New(cfg Config) *Engine { return &Engine{cfg: cfg} }

var _ API = (*Engine)(nil)

// Release gives back a Cross that could not be delivered (a full queue between
// shards): its packets' references are dropped.
func (c *Cross) Release() {
	for i := range c.Packets {
		c.Packets[i].Buf.Release()
	}
	c.Packets = c.Packets[:0]
}

func (e *Engine) OpenLeg(now clock.Time, c LegConfig)                                   {}
func (e *Engine) ConfigureLeg(now clock.Time, leg graph.LegID, m plane.LegMedia)        {}
func (e *Engine) SetLegReady(now clock.Time, leg graph.LegID, out *Out)                 {}
func (e *Engine) CloseLeg(now clock.Time, leg graph.LegID, out *Out)                    {}
func (e *Engine) AddTrack(now clock.Time, t TrackConfig, out *Out)                      {}
func (e *Engine) RemoveTrack(now clock.Time, t graph.TrackID, out *Out)                 {}
func (e *Engine) MuteTrack(now clock.Time, t graph.TrackID, muted bool)                 {}
func (e *Engine) AddRemote(now clock.Time, t graph.TrackID, s Shard)                    {}
func (e *Engine) RemoveRemote(now clock.Time, t graph.TrackID, s Shard)                 {}
func (e *Engine) Subscribe(now clock.Time, s SubConfig, out *Out)                       {}
func (e *Engine) Unsubscribe(now clock.Time, sub ids.Subscription, out *Out)            {}
func (e *Engine) HandleRTP(now clock.Time, leg graph.LegID, buf *ring.Buf, out *Out)    {}
func (e *Engine) HandleRTCP(now clock.Time, leg graph.LegID, compound []byte, out *Out) {}
func (e *Engine) HandleCross(now clock.Time, c *Cross, out *Out)                        {}
func (e *Engine) Flush(now clock.Time, out *Out)                                        {}
func (e *Engine) Tick(now clock.Time, out *Out) clock.Time                              { return 0 }
func (e *Engine) LegStats(leg graph.LegID, s *plane.LinkStats)                          {}
