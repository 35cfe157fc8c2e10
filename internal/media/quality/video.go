package quality

import (
	"math"
	"time"
)

// Video is what is known of a stream of pictures. Zero fields are not known and
// cost nothing.
type Video struct {
	Codec                 string // as in SDP
	Bitrate               uint64 // bit/s
	Width, Height         int    // shown
	WantWidth, WantHeight int    // what the receiver would show; 0: no matter
	FPS                   float64
	Loss                  float64 // 0..1 of packets, after repair
	Frozen                float64 // 0..1 of the time in which the picture stood
	RTT, Jitter           time.Duration
	Screen                bool // slides: their rate of pictures says nothing
	Waiting               bool // nothing is shown although something should be
}

const (
	// fullFPS is where more pictures a second are no longer noticed in talking
	// heads; P.1203.1 has 24 as well.
	fullFPS = 24
	// perHalving is what half the bit rate of a picture's need, half the pictures
	// or half the width cost, as a share of the scale.
	rateHalving, fpsHalving, sizeHalving = 0.14, 0.20, 0.15
	// frozenCost: a twentieth of the time standing costs a point and a bit.
	// lossCost: one packet in a hundred that is not repaired is a broken picture
	// a second.
	frozenCost, lossCost = 8, 12
)

// need is the bits a pixel of a picture wants at 24 pictures a second: what
// libwebrtc's default caps give VP8 at 640x360 and 1280x720, and by how much
// newer codecs undercut it.
func need(codec string) float64 {
	switch codec {
	case "VP9", "H265":
		return 0.055
	case "AV1":
		return 0.045
	}
	return 0.075
}

// Score estimates the quality: the scale's four points times one factor for
// each thing that may be wrong, so that two small faults are worse than one and
// no sum leaves the scale.
func (v Video) Score() float64 {
	if v.Waiting {
		return 1
	}
	q := v.coding() * v.size() * v.motion()
	q /= 1 + frozenCost*clamp(v.Frozen, 0, 1)
	q /= 1 + lossCost*clamp(v.Loss, 0, 1)
	q *= 1 - delay(v.RTT/2+2*v.Jitter+madeIn)/baseR
	return 1 + 4*clamp(q, 0, 1)
}

// coding is 1 with all the bits a picture of its size wants; pictures a second
// come with the power 3/4, since neighbours in time resemble each other more.
func (v Video) coding() float64 {
	pixels := float64(v.Width) * float64(v.Height)
	if v.Bitrate == 0 || pixels == 0 || v.Screen {
		return 1
	}
	fps := v.FPS
	if fps == 0 {
		fps = fullFPS
	}
	want := need(v.Codec) * math.Pow(pixels/(1280*720), -0.25) * pixels * fullFPS * math.Pow(fps/fullFPS, 0.75)
	return halvings(float64(v.Bitrate)/want, rateHalving)
}

// size is 1 when all pixels are there that the receiver would show.
func (v Video) size() float64 {
	switch {
	case v.WantHeight > 0 && v.Height > 0:
		return halvings(float64(v.Height)/float64(v.WantHeight), sizeHalving)
	case v.WantWidth > 0 && v.Width > 0:
		return halvings(float64(v.Width)/float64(v.WantWidth), sizeHalving)
	}
	return 1
}

func (v Video) motion() float64 {
	if v.FPS == 0 || v.Screen {
		return 1
	}
	return halvings(v.FPS/fullFPS, fpsHalving)
}

// halvings takes cost off for each time x is below 1 by half.
func halvings(x, cost float64) float64 {
	if x >= 1 {
		return 1
	}
	return clamp(1+cost*math.Log2(max(x, 1e-6)), 0, 1)
}
