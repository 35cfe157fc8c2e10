package focus

import (
	"time"

	"parley/api"
	"parley/internal/media/plane"
)

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// linkStats says in the API's words what the media side knows of a connection.
func linkStats(l plane.LinkStats) *api.ConnectionStats {
	st := &api.ConnectionStats{
		Profile: l.Profile, RTTMs: millis(l.RTT),
		PacketsIn: l.PacketsIn, PacketsOut: l.PacketsOut, BytesIn: l.BytesIn, BytesOut: l.BytesOut,
		LostIn: l.LostIn, FractionLostOut: l.FractionLostOut, NACKsIn: l.NACKsIn, NACKsOut: l.NACKsOut,
		RTXOut: l.RTXOut, PLIsIn: l.PLIsIn, PLIsOut: l.PLIsOut,
		EstimateIn: l.EstimateIn, EstimateOut: l.EstimateOut, RateIn: l.RateIn, Goodput: l.Goodput,
		ScoreIn: l.ScoreIn, ScoreOut: l.ScoreOut,
	}
	if l.RemoteAddr.IsValid() {
		st.Remote = l.RemoteAddr.String()
	}
	if c := l.Control; c.Target != 0 {
		st.Control = &api.RateStats{
			Feedback: c.Feedback, Target: c.Target, Acked: c.Acked, Wanted: c.Wanted, DelayBound: c.Delay, LossBound: c.Loss, REMB: c.REMB,
			QueueMs: millis(c.Queue), PathLoss: c.PathLoss, RecentLoss: c.RecentLoss, PacerBytes: c.Pacer, PacerMs: millis(c.PacerDelay),
			Probes: c.Probes, Cuts: c.Cuts, Probing: c.Probing, Limited: c.Limited, Contest: c.Contest, Breaker: c.Breaker,
		}
	}
	for i := range l.In {
		st.In = append(st.In, streamIn(&l.In[i]))
	}
	for i := range l.Out {
		st.Out = append(st.Out, streamOut(&l.Out[i]))
	}
	return st
}

func streamIn(s *plane.StreamIn) api.StreamIn {
	return api.StreamIn{
		Track: string(s.Track), Kind: s.Kind.String(), Source: s.Source, MID: s.MID, RID: s.RID, Encoding: s.Encoding, Codec: s.Codec,
		Live: s.Live, Bitrate: s.Bitrate, Packets: s.Packets, Expected: s.Expected, Repaired: s.Repaired, LossBefore: s.LossBefore,
		Loss: s.LossAfter, JitterMs: millis(s.Jitter), NACKs: s.NACKs, PLIs: s.PLIs, Keyframes: s.Keyframes,
		Width: s.Width, Height: s.Height, FPS: s.FPS, Score: s.Score,
	}
}

func streamOut(s *plane.StreamOut) api.StreamOut {
	return api.StreamOut{
		Track: string(s.Track), Kind: s.Kind.String(), Source: s.Source, MID: s.MID, Codec: s.Codec, State: s.State, Bitrate: s.Bitrate,
		Packets: s.Packets, Lost: s.Lost, Loss: s.FractionLost, RTTMs: millis(s.RTT), JitterMs: millis(s.Jitter), NACKs: s.NACKs, RTX: s.RTX, PLIs: s.PLIs,
		Encoding: s.Encoding, Spatial: s.Spatial, Temporal: s.Temporal, Encodings: s.Encodings, Best: s.Best, Width: s.Width, Height: s.Height,
		WantWidth: s.WantWidth, WantHeight: s.WantHeight, FPS: s.FPS, Frames: s.Frames, Freezes: s.Freezes, FrozenMs: millis(s.Frozen),
		Switches: s.Switches, Score: s.Score,
	}
}
