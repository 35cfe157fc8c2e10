package control

import (
	"parley/api"
	"parley/internal/conference/model"
)

// LegFacts is everything that a leg's manner hangs on.
type LegFacts struct {
	Topology string // that counts for the leg: its own, or the conference's; "" is auto
	Allowed  bool   // discouraged ones are wanted
	Caps     api.Caps
	Plain    bool // plain RTP, no WebRTC
	Group    bool // a multicast group
	Slots    bool // it fills the sections that it offers (WHEP)
	Direct   bool // the devices of the conference talk among themselves
	Weak     bool // what it can take is below the floor
	MixAudio bool // there is a mixer that can, and nothing forbids it
	MixVideo bool
	Compose  bool // a composed picture is wanted
}

// LegOf decides how a leg is served (docs/adr/0008). Pure: after every change
// each leg is what this says of its facts.
func LegOf(f LegFacts) model.Leg {
	switch f.Topology {
	case api.TopologyMixer:
		return f.mixed(model.Mixer, true)
	case api.TopologySwitch:
		return f.slots(model.Switch)
	case api.TopologyTerminating:
		return f.mixed(model.Terminating, f.Compose)
	case api.TopologyTranslator:
		return f.translated()
	case api.TopologyVideoSwitching:
		return f.videoSwitching()
	case api.TopologyRelay:
		if f.Plain || f.Allowed {
			return each(model.Relay)
		}
	case api.TopologyAsymmetric:
		return f.asymmetric()
	case api.TopologyMulticast:
		if f.Group {
			return f.mixed(model.Multicast, f.Compose)
		}
	case api.TopologyAuto, api.TopologyMesh, "":
		if f.Direct {
			return model.Leg{Manner: model.Direct, Audio: model.WayNone, Video: model.WayNone}
		}
	}
	return f.forwarded()
}

func each(m model.Manner) model.Leg {
	return model.Leg{Manner: m, Audio: model.WayEach, Video: model.WayEach}
}

// few reports whether the leg cannot take a stream of every source.
func (f LegFacts) few() bool { return f.Plain || f.Group || f.Caps.Streams > 0 }

// forwarded is the everyday way: each source by itself, and a mix with one
// picture for those who cannot take that.
func (f LegFacts) forwarded() model.Leg {
	weak := f.Weak && f.Topology != api.TopologySFU
	switch {
	case f.Group:
		return f.mixed(model.Multicast, f.Compose)
	case f.few() || weak:
		return f.mixed(model.Mixer, f.Compose || f.Topology == api.TopologyHybrid)
	case f.Slots:
		return f.slots(model.Switch)
	}
	return each(model.SFU)
}

// mixed is sound in one mix, and a composed picture when wanted, else one
// picture after another. Without a mixer it is slots.
func (f LegFacts) mixed(m model.Manner, compose bool) model.Leg {
	l := model.Leg{Manner: m, Audio: model.WaySlots, Video: model.WaySlots}
	if f.MixAudio {
		l.Audio = model.WayMix
	}
	if compose && f.MixVideo {
		l.Video = model.WayMix
	}
	if m == model.Mixer && l.Audio == model.WaySlots && l.Video == model.WaySlots {
		l.Manner = model.Switch
	}
	return l
}

func (f LegFacts) slots(m model.Manner) model.Leg {
	if f.Group {
		m = model.Multicast
	}
	return model.Leg{Manner: m, Audio: model.WaySlots, Video: model.WaySlots}
}

// translated: each source, transcoded where the leg lacks its codec.
func (f LegFacts) translated() model.Leg {
	if f.few() || f.Slots {
		return f.forwarded()
	}
	return each(model.Translator)
}

// videoSwitching passes the one selected picture as it is. Sound is as anywhere
// else: the topology says nothing of it.
func (f LegFacts) videoSwitching() model.Leg {
	l := f.forwarded()
	l.Manner, l.Video = model.VideoSwitching, model.WaySlots
	return l
}

// asymmetric: plain legs hear a mix, and are passed on to the others as they
// are (RFC 7667, section 3.11).
func (f LegFacts) asymmetric() model.Leg {
	if f.Plain && !f.Group {
		return f.mixed(model.Asymmetric, f.Compose)
	}
	if f.few() || f.Slots {
		return f.forwarded()
	}
	return each(model.Asymmetric)
}
