package testpeer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

// opusPage is the time of one page of the Ogg files we send.
const opusPage = 20 * time.Millisecond

// sendFiles adds a track for each file of the script.
func (p *Peer) sendFiles(s Script) error {
	for _, f := range []struct {
		path, id string
		codec    webrtc.RTPCodecCapability
		read     func([]byte) ([]media.Sample, error)
	}{
		{s.AudioFile, "audio", opus, readOgg},
		{s.VideoFile, "video", vp8, readIVF},
	} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		samples, err := f.read(b)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		t, err := webrtc.NewTrackLocalStaticSample(f.codec, f.id, "testpeer")
		if err != nil {
			return err
		}
		if err := p.add(t, func() { p.repeat(p.running, t, samples) }); err != nil {
			return err
		}
	}
	return nil
}

// repeat sends the samples in their time until ctx ends.
func (p *Peer) repeat(ctx context.Context, t *webrtc.TrackLocalStaticSample, samples []media.Sample) {
	due := time.Now()
	for n := 0; ; n++ {
		s := samples[n%len(samples)]
		if t.WriteSample(s) == nil {
			p.sent.Add(1)
		}
		due = due.Add(s.Duration)
		wait := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

func readIVF(b []byte) (out []media.Sample, err error) {
	r, h, err := ivfreader.NewWith(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	frame := time.Second * time.Duration(h.TimebaseNumerator) / time.Duration(h.TimebaseDenominator)
	for {
		f, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return out, nonEmpty(out)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, media.Sample{Data: f, Duration: frame})
	}
}

func readOgg(b []byte) (out []media.Sample, err error) {
	r, _, err := oggreader.NewWith(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return out, nonEmpty(out)
		}
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			out = append(out, media.Sample{Data: page, Duration: opusPage})
		}
	}
}

func nonEmpty(s []media.Sample) error {
	if len(s) == 0 {
		return errors.New("no frames")
	}
	return nil
}
