package load

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"parley/internal/base/ids"
)

// Config is one run.
type Config struct {
	URL         string // of the server, "http://127.0.0.1:8080"
	Token       string // bearer token; empty with --dev servers
	Room        string
	Rooms       int    // more than one: Room-1, Room-2, …, each with so many publishers and subscribers; 0 is 1
	Insecure    bool   // accept any HTTPS certificate
	Publishers  int    // of each room
	Subscribers int    // of each room
	Via         string // how subscribers join: "whep" or "ws"
	Data        bool   // with ws: a data channel too
	Cut         bool   // with ws: in the middle of the measured part every WebSocket is reset at once
	OnlyCM      bool   // offer AES_CM_128_HMAC_SHA1_80 alone
	Idle        bool   // publishers join and send nothing
	Codec       string // of video, one of Codecs; empty: the first
	Audio       bool
	Video       bool
	VideoBPS    int // bit/s of each video layer's top
	AudioBPS    int
	FPS         int
	Simulcast   bool // three layers by RID: quarter, half, full
	Feedback    bool // subscribers tell what arrives by transport-wide numbers, as browsers do
	Bare        bool // offer no transport-wide numbers, no REMB and no RTX
	Sections    int  // receiving sections of each kind per subscriber; 0: as many as publishers
	Sample      int  // every how many-th received packet is decrypted, and its latency taken; 0 and 1: all
	GRO         bool // let the kernel hand over runs of packets whole
	Warmup      time.Duration
	Duration    time.Duration // measured part
	JoinRate    int           // joins a second
	ServerPID   int           // for CPU per forwarded packet; 0: unknown
	Stats       string        // URL of the server's /stats, for allocations and memory; empty: unknown
	Progress    func(string)  // a line now and then; nil: none
}

// Validate says what is wrong, for a person.
func (c *Config) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("--url: %q is not http://HOST:PORT or https://HOST:PORT", c.URL)
	case !ids.ValidName(c.Room):
		return fmt.Errorf("--room: %q may have letters, digits, '-', '_' and '.', at most 64", c.Room)
	case c.Rooms < 0 || c.Rooms > 1000:
		return fmt.Errorf("--rooms: %d is not 1 to 1000", c.Rooms)
	case c.Sample < 0 || c.Sample > 1000:
		return fmt.Errorf("--sample: %d is not 1 to 1000", c.Sample)
	case c.Publishers < 0 || c.Subscribers < 0 || c.Publishers+c.Subscribers == 0 || (c.Publishers+c.Subscribers)*c.rooms() > 20000:
		return fmt.Errorf("--publishers and --subscribers: 1 to 20000 together")
	case c.Via != "whep" && c.Via != "ws":
		return fmt.Errorf("--via: %q is not whep or ws", c.Via)
	case c.Bare && c.Feedback:
		return fmt.Errorf("--bare: leaves nothing that --feedback could tell")
	case c.Cut && c.Via != "ws":
		return fmt.Errorf("--cut: is for --via ws")
	case c.Codec != "" && !slices.Contains(Codecs, c.Codec):
		return fmt.Errorf("--codec: %q is not one of %v", c.Codec, Codecs)
	case c.Publishers > 0 && !c.Audio && !c.Video:
		return fmt.Errorf("publishers with neither audio nor video send nothing")
	case c.VideoBPS < 20_000 || c.VideoBPS > 50_000_000:
		return fmt.Errorf("--video-bitrate: %d is not 20000 to 50000000 bit/s", c.VideoBPS)
	case c.AudioBPS < 6000 || c.AudioBPS > 510_000:
		return fmt.Errorf("--audio-bitrate: %d is not 6000 to 510000 bit/s", c.AudioBPS)
	case c.FPS < 1 || c.FPS > 120:
		return fmt.Errorf("--fps: %d is not 1 to 120", c.FPS)
	case c.Duration <= 0 || c.Duration > 24*time.Hour:
		return fmt.Errorf("--duration: %v is not up to 24h", c.Duration)
	case c.JoinRate < 1:
		return fmt.Errorf("--join-rate: at least 1")
	}
	return nil
}

func (c *Config) rooms() int { return max(c.Rooms, 1) }

// room is where participant n of per a room belongs.
func (c *Config) room(n, per int) string {
	if c.rooms() == 1 {
		return c.Room
	}
	return c.Room + "-" + strconv.Itoa(1+n/max(per, 1))
}

// Report is what a run found. Durations are in milliseconds.
type Report struct {
	Publishers     int      `json:"publishers"`
	Subscribers    int      `json:"subscribers"`
	JoinsFailed    int      `json:"joinsFailed"`
	Seconds        float64  `json:"seconds"`
	PacketsOut     uint64   `json:"packetsPublished"`
	PacketsIn      uint64   `json:"packetsReceived"`
	PacketsLeast   uint64   `json:"packetsReceivedLeast"` // of any subscriber
	BytesIn        uint64   `json:"bytesReceived"`
	Lost           uint64   `json:"lost"`
	LossPercent    float64  `json:"lossPercent"`
	Retransmitted  uint64   `json:"retransmitted"`
	Feedback       uint64   `json:"feedbackSent"` // messages of subscribers about what arrived
	Probes         uint64   `json:"probePackets"` // that subscribers got: padding and what they had already
	Streams        int      `json:"streams"`
	LatencyP50     float64  `json:"latencyP50Ms"`
	LatencyP95     float64  `json:"latencyP95Ms"`
	LatencyP99     float64  `json:"latencyP99Ms"`
	LatencyP999    float64  `json:"latencyP999Ms"`
	Measured       uint64   `json:"latencySamples"`
	SocketP50      float64  `json:"socketLatencyP50Ms"` // until the packet lay in the receiver's socket
	SocketP99      float64  `json:"socketLatencyP99Ms"`
	JoinP50        float64  `json:"joinP50Ms"`
	JoinP95        float64  `json:"joinP95Ms"`
	FirstP50       float64  `json:"firstPacketP50Ms"`
	FirstP95       float64  `json:"firstPacketP95Ms"`
	ServerCPU      float64  `json:"serverCpuSeconds,omitempty"`
	CPUPerPacket   float64  `json:"serverCpuMicrosPerForwardedPacket,omitempty"`
	ServerRSS      uint64   `json:"serverRssBytes,omitempty"`
	RSSPerPeer     float64  `json:"serverRssBytesPerPeer,omitempty"`
	OwnCPU         float64  `json:"generatorCpuSeconds"`
	GeneratorBusy  float64  `json:"generatorBusyPercent"` // of the cores it may use
	ServerWait     float64  `json:"serverWaitPercent"`    // of the time a thread was ready and had no core: others' load
	GeneratorWait  float64  `json:"generatorWaitPercent"`
	Server         *Server  `json:"server,omitempty"`
	Cut            *Cut     `json:"cut,omitempty"`
	Errors         []string `json:"errors,omitempty"`
	ForwardPerSec  float64  `json:"forwardedPacketsPerSecond"`
	PayloadMbitSec float64  `json:"receivedMbitPerSecond"`
}

// Cut is how those came back whose signalling was cut.
type Cut struct {
	Sockets int     `json:"sockets"`
	Resumed int     `json:"resumed"`
	BackP50 float64 `json:"backP50Ms"` // from the cut to the welcome
	BackP95 float64 `json:"backP95Ms"`
	BackMax float64 `json:"backMaxMs"`
	Slots   int     `json:"backIn50MsSlots"` // so many of them had somebody coming back: a herd has one
}

// Server is what the server's own counters say about the measured part, and
// its memory: before the first join and at the end, both after a collection.
type Server struct {
	Datagrams    uint64  `json:"txDatagrams"`
	Messages     uint64  `json:"txMessages"` // system calls' messages: a GSO run is one
	PerMessage   float64 `json:"datagramsPerMessage"`
	Turns        uint64  `json:"turns"`  // of the workers' loops
	Allocs       uint64  `json:"allocs"` // objects, everything the process did
	AllocsPerFwd float64 `json:"allocsPerForwardedPacket"`
	GCs          uint32  `json:"gcs"`
	HeapBefore   uint64  `json:"heapBytesBefore"`
	HeapAfter    uint64  `json:"heapBytesAfter"`
	RSSBefore    uint64  `json:"rssBytesBefore"`
	RSSAfter     uint64  `json:"rssBytesAfter"`
	HeapPerSub   float64 `json:"heapBytesPerSubscriber"`
	RSSPerSub    float64 `json:"rssBytesPerSubscriber"`
	Goroutines   int     `json:"goroutines"`
}
