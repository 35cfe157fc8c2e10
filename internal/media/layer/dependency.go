package layer

import "parley/internal/base/bitio"

// Bounds of a structure (AV1 RTP payload, appendix A.8.3): template ids have six
// bits, decode targets five.
const (
	maxTemplates = 64
	maxTargets   = 32
	// farRef is the longest reference that Refs can tell; longer ones are left out
	// and Exact is not set. Structures of conferencing reach 12 frames back.
	farRef = 63
)

// template is what frames of one kind have in common.
type template struct {
	refs        uint64
	present, sw uint32 // decode targets
	s, t        uint8
	far         bool
}

// need adds a frame that lies diff before.
func (t *template) need(diff uint32) {
	if diff > farRef {
		t.far = true
		return
	}
	t.refs |= 1 << (diff - 1)
}

// indicate notes what a frame is to a decode target (table A.1 of the AV1 RTP payload).
func (t *template) indicate(target uint8, v uint32) {
	const absent, swtch = 0, 2
	if v != absent {
		t.present |= 1 << target
	}
	if v == swtch {
		t.sw |= 1 << target
	}
}

// Dependency reads the dependency descriptors of one encoding and keeps the
// structure that its keyframes bring along. The zero value knows none.
type Dependency struct {
	Width, Height [MaxSpatial]uint16 // of each spatial layer; 0: not told
	// Late tells that what is read was overtaken: an older structure in it must not
	// replace what is in force.
	Late bool

	ok        bool
	offset    uint8
	targets   uint8
	templates uint8
	chains    uint8
	born      uint16            // frame number of the structure
	active    uint32            // decode targets that the sender serves, a bit each
	point     [maxTargets]uint8 // number of each target's operating point
	last      Info              // of the frame read last, for its later packets
	any       bool              // there is one
	list      [maxTemplates]template
}

// Active returns the operating points that the sender serves now.
func (d *Dependency) Active() uint32 { return d.points(d.active) }

// points turns a set of decode targets into operating points.
func (d *Dependency) points(targets uint32) (p uint32) {
	for i := range d.targets {
		if targets>>i&1 != 0 {
			p |= 1 << d.point[i]
		}
	}
	return p
}

// within returns the decode targets that need no layer above (s, t).
func (d *Dependency) within(s, t int8) (targets uint32) {
	b := Below(s, t)
	for i := range d.targets {
		if b>>d.point[i]&1 != 0 {
			targets |= 1 << i
		}
	}
	return targets
}

// mandatory is the length of the fields that every descriptor has.
const mandatory = 3

// head is the part of a descriptor before the frame's own definition.
type head struct {
	start, end           bool
	structure, active    bool
	dtis, fdiffs, chains bool
	id                   uint8
	frame                uint16
	at, after            int    // in bits: where the active targets are or would be
	targets              uint32 // the active ones, if told
}

// Read takes one packet's descriptor. False if it cannot be understood: it is
// malformed, or its structure is not known (yet).
func (d *Dependency) Read(b []byte) (Info, bool) {
	var h head
	r := read(b)
	if len(b) < mandatory || len(b) > 255 || !d.head(&r, &h) || !d.ok {
		return Info{}, false
	}
	if h.active {
		d.active = h.targets
	}
	i := Info{Frame: h.frame}
	if len(b) == mandatory && !h.start && d.any && d.last.Frame == h.frame {
		i = d.last // only the first packet need tell what is the frame's own
	} else if !d.define(&r, &h, &i) {
		return Info{}, false
	}
	d.last, d.any = i, true
	d.mark(&i, &h)
	return i, true
}

// mark sets the flags that are the packet's.
func (d *Dependency) mark(i *Info, h *head) {
	set := func(on bool, f Flags) {
		if on {
			i.Flags |= f
		}
	}
	set(d.targets > 1, Known)
	set(h.start, Start)
	set(h.end, End)
	set(h.structure || h.active, Tells)
	set(h.structure, Struct)
	set(h.structure && h.start && i.Has(Exact) && i.Refs == 0 && i.Spatial == 0, Key)
}

// head reads all before the frame's definition and takes over a structure.
func (d *Dependency) head(r *bits, h *head) bool {
	h.start, h.end, h.id, h.frame = r.Flag(), r.Flag(), uint8(r.U(6)), uint16(r.U(16))
	h.after = r.At
	if len(r.B) == mandatory {
		return true
	}
	h.structure, h.active = r.Flag(), r.Flag()
	h.dtis, h.fdiffs, h.chains = r.Flag(), r.Flag(), r.Flag()
	if h.structure {
		next := Dependency{born: h.frame}
		if !next.structure(r) {
			return false
		}
		if d.Late && d.ok && int16(h.frame-d.born) < 0 {
			return false
		}
		next.Late = d.Late
		*d = next
	}
	h.at = r.At
	if h.active {
		h.targets = r.U(int(d.targets))
	}
	h.after = r.At
	return !r.Over
}

// define finds out what the frame is: its template, with what is its own
// (appendix A.8.2, frame_dependency_definition).
func (d *Dependency) define(r *bits, h *head, i *Info) bool {
	n := (h.id - d.offset) % maxTemplates
	if n >= d.templates {
		return false
	}
	t := d.list[n]
	if h.dtis {
		t.present, t.sw = 0, 0
		for k := range d.targets {
			t.indicate(k, r.U(2))
		}
	}
	if h.fdiffs {
		t.refs, t.far = 0, false
		for size := r.U(2); size != 0 && !r.Over; size = r.U(2) {
			t.need(r.U(4*int(size)) + 1)
		}
	}
	i.Spatial, i.Temporal = t.s, t.t
	i.Refs, i.Present, i.Switch = t.refs, d.points(t.present), d.points(t.sw)
	if !t.far {
		i.Flags |= Exact
	}
	return !r.Over
}

// structure reads a template dependency structure (appendix A.8.2).
func (d *Dependency) structure(r *bits) bool {
	d.offset = uint8(r.U(6))
	d.targets = uint8(r.U(5)) + 1
	d.active = allPoints >> (maxTargets - d.targets)
	if !d.layers(r) {
		return false
	}
	for i := range d.templates {
		for k := range d.targets {
			d.list[i].indicate(k, r.U(2))
		}
	}
	for i := range d.templates {
		for r.Flag() && !r.Over {
			d.list[i].need(r.U(4) + 1)
		}
	}
	if d.chains = uint8(r.ns(uint32(d.targets) + 1)); d.chains > 0 {
		for range d.targets {
			r.ns(uint32(d.chains))
		}
		r.At += 4 * int(d.templates) * int(d.chains)
	}
	d.place()
	if r.Flag() {
		for s := range d.list[d.templates-1].s + 1 {
			d.Width[s], d.Height[s] = plusOne(r.U(16)), plusOne(r.U(16))
		}
	}
	d.ok = !r.Over && r.At <= 8*len(r.B)
	return d.ok
}

func plusOne(v uint32) uint16 { return uint16(min(v+1, 0xffff)) }

// layers reads which layer each template belongs to.
func (d *Dependency) layers(r *bits) bool {
	var s, t uint8
	for {
		d.list[d.templates].s, d.list[d.templates].t = s, t
		d.templates++
		switch r.U(2) {
		case 1:
			t++
		case 2:
			s, t = s+1, 0
		case 3:
			return !r.Over
		}
		if r.Over || d.templates == maxTemplates || s == MaxSpatial || t == MaxTemporal {
			return false
		}
	}
}

// place derives the operating point of each decode target from the templates
// that belong to it.
func (d *Dependency) place() {
	for k := range d.targets {
		var s, t uint8
		for i := range d.templates {
			if x := &d.list[i]; x.present>>k&1 != 0 {
				s, t = max(s, x.s), max(t, x.t)
			}
		}
		d.point[k] = s*MaxTemporal + t
	}
}

// Restrict writes descriptor b to dst with those of the active decode targets
// that need no layer above (s, t) and returns its length; 0 if b shall stay as it
// is, because its structure says the same or for want of such targets. d is the
// reader of the encoding: a descriptor without a structure means its latest.
func (d *Dependency) Restrict(dst, b []byte, s, t int8) int {
	if len(b) < mandatory || len(b) > 255 {
		return 0
	}
	var own Dependency
	x, r, h := d, read(b), head{}
	if len(b) > mandatory && b[3]&0x80 != 0 {
		x = &own
	} else {
		own.ok, own.targets, x = d.ok, d.targets, d
	}
	if !own.head(&r, &h) || !x.ok {
		return 0
	}
	mask := x.active
	if h.active {
		mask = h.targets
	}
	served := mask & x.within(s, t)
	if served == 0 || (h.structure && served == mask) {
		return 0
	}
	mask = served
	if len(b) == mandatory {
		h.at, h.after = 8*mandatory+5, 8*mandatory+5
	}
	size := (h.at + int(x.targets) + 8*len(b) - h.after + 7) / 8
	if len(b) == mandatory {
		size = (h.at + int(x.targets) + 7) / 8
	}
	if size > 255 || size > len(dst) {
		return 0
	}
	clear(dst[:size])
	copyBits(dst, b, 0, min(h.at, 8*len(b)), 0)
	dst[3] |= 0x40
	w := bitio.Writer{B: dst[:size], At: h.at}
	w.U(int(x.targets), mask)
	if len(b) > mandatory {
		copyBits(dst, b, h.after, 8*len(b), w.At)
	}
	return size
}

// copyBits copies bits [from, to) of src to at in dst, which is zero there.
func copyBits(dst, src []byte, from, to, at int) {
	for i := from; i < to; i++ {
		dst[at>>3] |= src[i>>3] >> (7 - i&7) & 1 << (7 - at&7)
		at++
	}
}
