package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// keyEvery is how often every stream is asked for a key frame.
const keyEvery = 1500 * time.Millisecond

// extensions are those that a forwarder may read.
var extensions = []string{
	"urn:ietf:params:rtp-hdrext:sdes:mid",
	"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
	"urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
	"http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
	"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
	dependency,
	"http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
}

const dependency = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// description goes beside a file.
type description struct {
	Browser    string            `json:"browser"`
	Want       any               `json:"want"`
	Extensions map[string]string `json:"extensions"` // by id
	Payloads   []payload         `json:"payloads"`
	Streams    []*stream         `json:"streams"`
	Millis     int64             `json:"millis"`
	Bytes      int               `json:"bytes"`
}

type payload struct {
	PT   uint8  `json:"pt"`
	Mime string `json:"mime"`
	Fmtp string `json:"fmtp,omitempty"`
}

type stream struct {
	SSRC    uint32 `json:"ssrc"`
	RID     string `json:"rid,omitempty"`
	RTXOf   string `json:"rtxOf,omitempty"` // the RID that it repeats
	PT      uint8  `json:"pt"`
	Packets int    `json:"packets"`
}

// recording is one PeerConnection and what came over it.
type recording struct {
	pc  *webrtc.PeerConnection
	ask ask

	mu      sync.Mutex // guards what follows
	began   time.Time
	last    time.Duration
	file    bytes.Buffer
	streams map[uint32]*stream
	exts    map[string]string
	ids     map[string]uint8
	pts     []payload
}

func newRecording(ctx context.Context, a ask) (*recording, string, error) {
	r := &recording{ask: a, streams: map[uint32]*stream{}, exts: map[string]string{}, ids: map[string]uint8{}}
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, "", err
	}
	for _, uri := range extensions {
		if uri == dependency && !strings.Contains(a.SDP, dependency) {
			continue
		}
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, "", err
		}
	}
	reg := &interceptor.Registry{}
	reg.Add(tap{r})
	if err := errors.Join(webrtc.ConfigureTWCCSender(m, reg), webrtc.ConfigureRTCPReports(reg), webrtc.ConfigureNack(m, reg)); err != nil {
		return nil, "", err
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(1) // disabled
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(s))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, "", err
	}
	r.pc = pc
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for b := make([]byte, 1<<12); ; {
			if _, _, err := t.Read(b); err != nil {
				return
			}
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: a.SDP}); err != nil {
		return r, "", errors.Join(err, pc.Close())
	}
	ans, err := pc.CreateAnswer(nil)
	if err != nil {
		return r, "", errors.Join(err, pc.Close())
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(ans); err != nil {
		return r, "", errors.Join(err, pc.Close())
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return r, "", errors.Join(ctx.Err(), pc.Close())
	}
	sdp := pc.LocalDescription().SDP
	r.negotiated(sdp)
	return r, sdp, nil
}

// negotiated reads ids and payload types from the answer.
func (r *recording) negotiated(sdp string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmtp := map[uint8]string{}
	for l := range strings.Lines(sdp) {
		l = strings.TrimSpace(l)
		var pt uint8
		var rest string
		switch {
		case strings.HasPrefix(l, "a=extmap:"):
			id, uri, _ := strings.Cut(strings.TrimPrefix(l, "a=extmap:"), " ")
			id, _, _ = strings.Cut(id, "/")
			var n uint8
			if _, err := fmt.Sscan(id, &n); err == nil {
				r.exts[id], r.ids[uri] = uri, n
			}
		case strings.HasPrefix(l, "a=rtpmap:"):
			if _, err := fmt.Sscanf(l, "a=rtpmap:%d %s", &pt, &rest); err == nil {
				r.pts = append(r.pts, payload{PT: pt, Mime: rest})
			}
		case strings.HasPrefix(l, "a=fmtp:"):
			if _, err := fmt.Sscanf(l, "a=fmtp:%d", &pt); err == nil {
				_, fmtp[pt], _ = strings.Cut(l, " ")
			}
		}
	}
	for i := range r.pts {
		r.pts[i].Fmtp = fmtp[r.pts[i].PT]
	}
}

// wait returns when the time since the first packet is over.
func (r *recording) wait(ctx context.Context, d time.Duration) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.Now().Add(20 * time.Second)
	var asked time.Duration
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		r.mu.Lock()
		began := r.began
		var plis []rtcp.Packet
		for ssrc, s := range r.streams {
			if s.RTXOf == "" {
				plis = append(plis, &rtcp.PictureLossIndication{MediaSSRC: ssrc})
			}
		}
		r.mu.Unlock()
		at := time.Since(began)
		switch {
		case began.IsZero() && time.Now().After(limit):
			return errors.New("no packet came")
		case began.IsZero():
		case at > d:
			return nil
		case at-asked > keyEvery:
			asked = at
			if err := r.pc.WriteRTCP(plis); err != nil {
				return err
			}
		}
	}
}

// packet keeps one as it came.
func (r *recording) packet(b []byte) {
	var p rtp.Packet
	if p.Unmarshal(b) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.began.IsZero() {
		r.began = now
	}
	r.last = now.Sub(r.began)
	s := r.streams[p.SSRC]
	if s == nil {
		s = &stream{SSRC: p.SSRC, PT: p.PayloadType}
		r.streams[p.SSRC] = s
	}
	s.Packets++
	if id := r.ids[extensions[1]]; id != 0 && s.RID == "" {
		s.RID = string(p.GetExtension(id))
	}
	if id := r.ids[extensions[2]]; id != 0 && s.RTXOf == "" {
		s.RTXOf = string(p.GetExtension(id))
	}
	// rtpdump: length of the record, length of the packet, milliseconds.
	r.file.Write(binary.BigEndian.AppendUint16(nil, uint16(len(b)+8)))
	r.file.Write(binary.BigEndian.AppendUint16(nil, uint16(len(b))))
	r.file.Write(binary.BigEndian.AppendUint32(nil, uint32(r.last.Milliseconds())))
	r.file.Write(b)
}

// save writes the two files.
func (r *recording) save(base string) (*description, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &description{Browser: r.ask.Browser, Want: r.ask.Want, Extensions: r.exts, Millis: r.last.Milliseconds(), Bytes: r.file.Len()}
	used := map[uint8]bool{}
	for _, s := range r.streams {
		used[s.PT] = true
		d.Streams = append(d.Streams, s)
	}
	for _, p := range r.pts {
		if used[p.PT] {
			d.Payloads = append(d.Payloads, p)
		}
	}
	slices.SortFunc(d.Streams, func(a, b *stream) int { return strings.Compare(a.RTXOf+"/"+a.RID, b.RTXOf+"/"+b.RID) })
	j, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	head := append([]byte("#!rtpplay1.0 127.0.0.1/9\n"), make([]byte, 16)...)
	return d, errors.Join(os.WriteFile(base+".rtpdump", append(head, r.file.Bytes()...), 0o644), os.WriteFile(base+".json", append(j, '\n'), 0o644))
}

func (r *recording) close() { _ = r.pc.Close() }

// tap sees every packet right after SRTP, before anything else does.
type tap struct{ r *recording }

func (t tap) NewInterceptor(string) (interceptor.Interceptor, error) { return &tapped{r: t.r}, nil }

type tapped struct {
	interceptor.NoOp
	r *recording
}

func (t *tapped) BindRemoteStream(_ *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err == nil {
			t.r.packet(b[:n])
		}
		return n, a, err
	})
}
