package testpeer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Peer is one client with one PeerConnection.
type Peer struct {
	pc      *webrtc.PeerConnection
	stop    context.CancelFunc
	running context.Context //nolint:containedctx // ends the media goroutines
	tasks   sync.WaitGroup
	wantKey atomic.Bool
	sent    atomic.Uint64
	pli     atomic.Uint64
	session session // WHIP or WHEP; empty for a peer-to-peer one

	connected chan struct{}
	failed    chan struct{}
	once      [2]sync.Once

	mu     sync.Mutex // guards tracks and onRTP
	tracks []*Received
	onRTP  func(*Received, *rtp.Packet)
	news   chan struct{} // replaced and closed at every new track
}

// Received is a remote track and its counters.
type Received struct {
	Track   *webrtc.TrackRemote
	packets atomic.Uint64
	bytes   atomic.Uint64
	frames  atomic.Uint64 // packets with the marker bit
	gaps    atomic.Uint64 // sequence numbers that were skipped
}

// Packets returns how many RTP packets came.
func (r *Received) Packets() uint64 { return r.packets.Load() }

// Bytes returns their payload bytes.
func (r *Received) Bytes() uint64 { return r.bytes.Load() }

// Frames returns how many had the marker bit.
func (r *Received) Frames() uint64 { return r.frames.Load() }

// Gaps returns how many sequence numbers were skipped by the next packet; a
// retransmission that fills one does not lower it.
func (r *Received) Gaps() uint64 { return r.gaps.Load() }

// Setup of a peer; the zero value is that of New.
type Setup struct {
	// Check is the interval of connectivity checks once connected; 0: one second.
	Check time.Duration
	// Certificate is the peer's own; nil: an ECDSA one made for it.
	Certificate *webrtc.Certificate
}

// New makes a peer with default codecs and interceptors; loopback counts as a
// network, mDNS is off and connectivity checks are fast.
func New() (*Peer, error) { return create(Setup{}) }

func create(set Setup) (*Peer, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	reg := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, reg); err != nil {
		return nil, err
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(1) // disabled
	s.SetHostAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	if set.Check == 0 {
		set.Check = time.Second
	}
	s.SetICETimeouts(5*time.Second, 15*time.Second, set.Check)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(s))
	var cfg webrtc.Configuration
	if set.Certificate != nil {
		cfg.Certificates = []webrtc.Certificate{*set.Certificate}
	}
	pc, err := api.NewPeerConnection(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Peer{
		pc: pc, stop: stop, running: ctx,
		connected: make(chan struct{}), failed: make(chan struct{}), news: make(chan struct{}),
	}
	pc.OnConnectionStateChange(p.stateChanged)
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.receive(t) })
	return p, nil
}

func (p *Peer) stateChanged(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		p.once[0].Do(func() { close(p.connected) })
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		p.once[1].Do(func() { close(p.failed) })
	default:
	}
}

// PeerConnection gives access to everything else.
func (p *Peer) PeerConnection() *webrtc.PeerConnection { return p.pc }

// OnRTP sets a function that sees every received packet, from the track's
// goroutine.
func (p *Peer) OnRTP(f func(*Received, *rtp.Packet)) {
	p.mu.Lock()
	p.onRTP = f
	p.mu.Unlock()
}

// Send adds the script's tracks and sends once connected.
func (p *Peer) Send(s Script) error {
	if s.VideoFile != "" || s.AudioFile != "" {
		return p.sendFiles(s)
	}
	if s.AudioBytes > 0 {
		t, err := webrtc.NewTrackLocalStaticRTP(opus, "audio", "testpeer")
		if err != nil {
			return err
		}
		if err := p.add(t, func() { s.audio(p.running, t, &p.sent) }); err != nil {
			return err
		}
	}
	if s.FrameRate > 0 {
		t, err := webrtc.NewTrackLocalStaticRTP(vp8, "video", "testpeer")
		if err != nil {
			return err
		}
		return p.add(t, func() { s.video(p.running, t, &p.wantKey, &p.sent) })
	}
	return nil
}

// add offers a track and starts run once connected.
func (p *Peer) add(track webrtc.TrackLocal, run func()) error {
	tr, err := p.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	p.tasks.Go(func() { p.feedback(tr.Sender()) })
	p.tasks.Go(func() {
		select {
		case <-p.connected:
			run()
		case <-p.running.Done():
		}
	})
	return nil
}

// feedback answers key-frame requests.
func (p *Peer) feedback(s *webrtc.RTPSender) {
	for {
		pkts, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, pkt := range pkts {
			switch pkt.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				p.pli.Add(1)
				p.wantKey.Store(true)
			}
		}
	}
}

// Receive adds n recvonly sections of audio and of video.
func (p *Peer) Receive(audio, video int) error {
	for kind, n := range map[webrtc.RTPCodecType]int{webrtc.RTPCodecTypeAudio: audio, webrtc.RTPCodecTypeVideo: video} {
		for range n {
			if _, err := p.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{
				Direction: webrtc.RTPTransceiverDirectionRecvonly,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Peer) receive(t *webrtc.TrackRemote) {
	r := &Received{Track: t}
	p.mu.Lock()
	p.tracks = append(p.tracks, r)
	close(p.news)
	p.news = make(chan struct{})
	p.mu.Unlock()
	var last uint16
	for {
		pkt, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		if d := pkt.SequenceNumber - last; r.packets.Add(1) > 1 && d > 1 && d < 1<<15 {
			r.gaps.Add(uint64(d - 1))
		}
		last = pkt.SequenceNumber
		r.bytes.Add(uint64(len(pkt.Payload)))
		if pkt.Marker {
			r.frames.Add(1)
		}
		p.mu.Lock()
		f := p.onRTP
		p.mu.Unlock()
		if f != nil {
			f(r, pkt)
		}
	}
}

// Tracks returns the remote tracks so far.
func (p *Peer) Tracks() []*Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Received(nil), p.tracks...)
}

// WaitTracks waits until n remote tracks have each brought at least packets.
func (p *Peer) WaitTracks(ctx context.Context, n int, packets uint64) ([]*Received, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		have := 0
		all := p.Tracks()
		for _, r := range all {
			if r.Packets() >= packets {
				have++
			}
		}
		if have >= n {
			return all, nil
		}
		p.mu.Lock()
		news := p.news
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return all, fmt.Errorf("%d of %d tracks: %w", have, n, ctx.Err())
		case <-news:
		case <-tick.C:
		}
	}
}

// RequestKeyFrames sends a PLI for every received video track.
func (p *Peer) RequestKeyFrames() error {
	var out []rtcp.Packet
	for _, r := range p.Tracks() {
		if r.Track.Kind() == webrtc.RTPCodecTypeVideo {
			out = append(out, &rtcp.PictureLossIndication{MediaSSRC: uint32(r.Track.SSRC())})
		}
	}
	return p.pc.WriteRTCP(out)
}

// Sent returns how many RTP packets were written; PLIs how many key-frame
// requests came.
func (p *Peer) Sent() uint64 { return p.sent.Load() }

// PLIs returns how many key-frame requests came.
func (p *Peer) PLIs() uint64 { return p.pli.Load() }

// Connected waits until DTLS is done.
func (p *Peer) Connected(ctx context.Context) error {
	select {
	case <-p.connected:
		return nil
	case <-p.failed:
		return errors.New("testpeer: connection failed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Failed is closed when the connection failed or was closed.
func (p *Peer) Failed() <-chan struct{} { return p.failed }

// offer makes an offer with all candidates in it.
func (p *Peer) offer(ctx context.Context) (string, error) {
	o, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return p.local(ctx, o)
}

func (p *Peer) local(ctx context.Context, d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return p.pc.LocalDescription().SDP, nil
}

// answered takes the other side's answer; checks begin.
func (p *Peer) answered(sdp string) error {
	if err := hurry(p.pc); err != nil {
		return err
	}
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

// Connect joins two peers to each other without a server: a self-test, and the
// picture of what pion does alone.
func Connect(ctx context.Context, a, b *Peer) error {
	offer, err := a.offer(ctx)
	if err != nil {
		return err
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return err
	}
	ans, err := b.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	answer, err := b.local(ctx, ans)
	if err != nil {
		return err
	}
	if err := a.answered(answer); err != nil {
		return err
	}
	return errors.Join(a.Connected(ctx), b.Connected(ctx))
}

// Abandon ends the peer without telling the server, as a crashed client does.
func (p *Peer) Abandon() error {
	p.stop()
	err := p.pc.Close()
	p.tasks.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
