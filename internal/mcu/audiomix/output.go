package audiomix

import (
	"errors"
	"slices"
	"strings"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
)

// loopClear is how long a looped source must be clean before it is heard again.
const loopClear = 5 * time.Second

// Output is one mix to be made.
type Output struct {
	plane.MixOutput
	SSRC   uint32
	Levels uint8 // extension id of mixer levels on its link, 0: none
	Lane   int   // handed back with its packets
}

type output struct {
	Output
	dev    *device // of the listener, nil: nobody is left out
	class  *class
	format format
	seq    uint16
	ts     uint32
	at     clock.Time // of the last slot
	limit  uint64     // from its receivers, bit/s
	loss   float64    // of its receivers
	lossy  clock.Time
}

// format is what a codec needs of packets.
type format struct {
	name  string
	step  uint32 // RTP ticks per slot
	codec plane.Codec
}

func formatOf(c plane.Codec) format {
	return format{name: strings.ToLower(c.Name), step: uint32(clockRate(c) / 50), codec: c}
}

// classKey is what outputs with the same payload have in common.
type classKey struct {
	dev    *device // left out, nil: nobody
	codec  string
	rate   int
	fec    bool
	single ids.Track // with Config.Separate
}

// class is one encoder and the outputs it serves in this slot.
type class struct {
	key     classKey
	enc     codec.Encoder
	down    *downsampler
	lim     limiter
	outputs []*output
	pcm     [Frame]int16
	low     [Frame]int16
	buf     [codec.MaxPayload]byte
	n       int
	silent  int // slots
	csrc    [maxCSRC]uint32
	levels  [maxCSRC]uint8
	nc      int
	bits    float64 // smoothed payload bits per slot
	quiet   bool
	ext     uint8 // id of levels in packet
	packet  [maxPacket]byte
	size    int
}

// maxPacket is a payload with the longest header.
const maxPacket = 12 + 4*maxCSRC + 24 + codec.MaxPayload

func (c *class) close() {
	if c.enc != nil {
		c.enc.Close()
		c.enc = nil
	}
}

var errOnly = errors.New("audiomix: a translation is no mix")

// Start makes an output or changes one. Its SSRC, sequence and timestamps run on
// whatever else changes.
func (m *Mixer) Start(now clock.Time, o Output) error {
	if o.Only != "" {
		return errOnly
	}
	if err := m.cfg.Codecs.Can(o.Codec); err != nil {
		return err
	}
	x := m.byOut[o.Track]
	if x == nil {
		r := m.cfg.Random()
		x = &output{seq: uint16(r), ts: m.cfg.Random(), at: now.Add(-slot)}
		m.byOut[o.Track] = x
		m.outputs = append(m.outputs, x)
	}
	x.Output, x.format = o, formatOf(o.Codec)
	m.listener(x, o.Listener)
	if len(m.known) > 0 {
		m.tell(x)
	}
	return nil
}

// listener ties an output to the device whose own sources it leaves out.
func (m *Mixer) listener(x *output, id ids.Device) {
	if d := x.dev; d != nil {
		x.dev = nil
		d.outs--
		if d.id != id {
			defer m.leave(d)
		}
	}
	if id != "" {
		x.dev = m.device(id)
		x.dev.outs++
	}
}

// Stop ends an output.
func (m *Mixer) Stop(t ids.Track) {
	x := m.byOut[t]
	if x == nil {
		return
	}
	delete(m.byOut, t)
	m.listener(x, "")
	m.outputs = slices.DeleteFunc(m.outputs, func(o *output) bool { return o == x })
	if x.class != nil {
		x.class.remove(x)
	}
}

func (c *class) remove(o *output) {
	if i := slices.Index(c.outputs, o); i >= 0 {
		c.outputs = slices.Delete(c.outputs, i, i+1)
	}
	o.class = nil
}

// SetRate limits an output to what its receivers can take; 0 lifts the limit.
func (m *Mixer) SetRate(t ids.Track, bps uint64) {
	if o := m.byOut[t]; o != nil {
		o.limit = bps
	}
}

// SetLoss tells which share of an output's packets does not arrive.
func (m *Mixer) SetLoss(now clock.Time, t ids.Track, f float64) {
	if o := m.byOut[t]; o != nil {
		if o.loss = f; f >= fecFrom {
			o.lossy = now
		}
	}
}

const (
	// fecFrom is the loss from which in-band copies are worth their cost, and
	// fecFor how long they stay after it was last seen.
	fecFrom = 0.02
	fecFor  = 30 * time.Second
	// overhead of IP, UDP, RTP with a few CSRCs and SRTP at 50 packets a second,
	// which a limit includes (RFC 5104, section 4.2.1.2).
	overhead = 50 * 8 * 70
)

// rates are the bitrates encoders run at: few, so that outputs share.
var rates = []int{codec.DefaultBitrate, 24000, 16000, 12000, 8000}

func (o *output) bitrate() int {
	limit := o.limit
	if o.Rate != 0 && (limit == 0 || o.Rate < limit) {
		limit = o.Rate
	}
	if limit == 0 {
		return rates[0]
	}
	for _, r := range rates {
		if uint64(r+overhead) <= limit {
			return r
		}
	}
	return rates[len(rates)-1]
}

// key is the class that an output belongs to now.
func (m *Mixer) key(now clock.Time, o *output) classKey {
	k := classKey{codec: o.format.name}
	if o.dev != nil && o.dev.own > 0 {
		k.dev = o.dev
	}
	if k.codec == "opus" {
		k.rate = o.bitrate()
		k.fec = o.lossy != 0 && now.Sub(o.lossy) < fecFor
	}
	if m.cfg.Separate {
		k.single = o.Track
	}
	return k
}

// assign moves outputs to the class they belong to.
func (m *Mixer) assign(now clock.Time) {
	quiet := len(m.mixed) == 0
	m.talking = slices.DeleteFunc(m.talking, func(d *device) bool {
		if quiet {
			d.own = 0
		} else if !d.heard {
			d.own--
		}
		return d.own <= 0
	})
	for _, o := range m.outputs {
		k := m.key(now, o)
		if o.class != nil && o.class.key == k {
			continue
		}
		if o.class != nil {
			o.class.remove(o)
		}
		c := m.class(k, o)
		c.outputs = append(c.outputs, o)
		o.class = c
	}
	m.order = slices.DeleteFunc(m.order, func(c *class) bool {
		if len(c.outputs) > 0 {
			return false
		}
		c.close()
		delete(m.classes, c.key)
		return true
	})
}

func (m *Mixer) class(k classKey, o *output) *class {
	c := m.classes[k]
	if c == nil {
		c = &class{key: k}
		s := codec.Settings{Bitrate: k.rate, FEC: k.fec}
		if k.fec {
			s.Loss = 10
		}
		if c.enc, _ = m.cfg.Codecs.Encoder(o.Codec, s); c.enc != nil && c.enc.Rate() != Rate {
			c.down = &downsampler{ratio: Rate / c.enc.Rate()}
		}
		m.classes[k] = c
		m.order = append(m.order, c)
	}
	return c
}

// encode makes this slot's packets.
func (m *Mixer) encode(now clock.Time) {
	m.assign(now)
	for _, c := range m.order {
		m.fill(c)
		c.encode()
		m.credit(c)
		c.build()
		for _, o := range c.outputs {
			m.send(now, c, o)
		}
	}
}

// fill makes the sum without the class's own device.
func (m *Mixer) fill(c *class) {
	sum := &m.sum
	quiet := len(m.mixed) == 0
	if d := c.key.dev; d != nil && d.heard {
		m.min, quiet = m.sum, true
		for _, s := range m.mixed {
			if s.dev != d {
				quiet = false
				continue
			}
			for i, v := range s.pcm {
				m.min[i] -= int32(v)
			}
		}
		sum = &m.min
	}
	c.quiet = quiet
	if quiet {
		clear(c.pcm[:])
		return
	}
	c.lim.run(sum[:], c.pcm[:])
}

// encode runs the encoder, but not over long silence.
func (c *class) encode() {
	if c.enc == nil {
		c.n = 0
		return
	}
	if !c.quiet {
		c.silent = 0
	} else if c.silent++; c.silent > spacious && c.key.codec == "opus" && c.n > 0 {
		c.buf[0] &^= 3 // a frame without bytes: DTX (RFC 6716, section 3.2.1)
		c.n = 1
		c.bits += (8 - c.bits) / 50
		return
	}
	pcm := c.pcm[:]
	if c.down != nil {
		pcm = c.low[:Frame/c.down.ratio]
		c.down.run(c.pcm[:], pcm)
	}
	n, err := c.enc.Encode(pcm, c.buf[:])
	if err != nil {
		n = 0
	}
	c.n = n
	c.bits += (float64(8*n) - c.bits) / 50
}

// credit lists who is in the class's packet, the loudest fifteen, and how loud
// (RFC 3550, section 7.3; RFC 6465).
func (m *Mixer) credit(c *class) {
	c.nc = 0
	for _, s := range m.mixed {
		if s.dev == c.key.dev && c.key.dev != nil {
			continue
		}
		if !s.Mixed || s.last == nil || s.last.nc == 0 {
			c.add(s.SrcID, s.meas)
			continue
		}
		// A mixed source contributes its contributors (check CMB-1).
		for i := range s.last.nc {
			level := s.last.levels[i]
			if level == noLevel {
				level = s.meas
			}
			c.add(s.last.csrc[i], level)
		}
	}
}

// add keeps the list ordered by loudness, without doubles.
func (c *class) add(id uint32, level uint8) {
	if id == 0 || slices.Contains(c.csrc[:c.nc], id) {
		return
	}
	i := c.nc
	for i > 0 && level < c.levels[i-1] {
		i--
	}
	if i == maxCSRC {
		return
	}
	c.nc = min(c.nc+1, maxCSRC)
	copy(c.csrc[i+1:c.nc], c.csrc[i:])
	copy(c.levels[i+1:c.nc], c.levels[i:])
	c.csrc[i], c.levels[i] = id, level
}
