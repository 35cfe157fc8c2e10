package main

// targets are the functions that make what leaves from what came, by file. All
// of their statements are tried.
var targets = map[string][]string{
	"internal/media/stream/projection.go":    {"send", "write", "adopt", "carried"},
	"internal/media/stream/resend.go":        {"Resend", "SenderInfo"},
	"internal/media/stream/through.go":       {"Through", "once", "Foreign", "Over"},
	"internal/media/rewrite/header.go":       {"Header", "AbsSendTime"},
	"internal/media/topology/relay.go":       {"HandleBatch", "HandleFeedback"},
	"internal/media/topology/relayowners.go": {"media", "control", "own"},
	"internal/media/topology/videoswitch.go": {"HandleBatch", "HandleFeedback", "want"},
	"internal/media/topology/crossing.go":    {"crossing", "demote", "shows"},
	"internal/media/topology/surgery.go":     {"fromOuter", "fromGroup", "learn", "folded"},
	"internal/media/topology/asymmetric.go":  {"HandleBatch", "toGroup"},
	"internal/media/topology/passing.go":     {"media", "control"},
	"internal/media/engine/contributors.go":  {"contributors"},
	"internal/media/engine/passing.go":       {"cutPacket", "cutReport"},
}

// equal are changes that make no difference, each with its reason.
var equal = map[string]string{
	"crossing.go: crossing: without: v.buf = out": "memory kept for the next time",
}
