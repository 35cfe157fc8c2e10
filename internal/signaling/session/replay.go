package session

// replay keeps the frames a client has not confirmed, for resume. Bounded by
// number and by bytes; what falls out is remembered only as a floor.
type replay struct {
	frames []held // ascending seq, without gaps
	bytes  int
	floor  uint64 // highest seq no longer held: confirmed or fallen out
}

type held struct {
	seq   uint64
	frame []byte
}

func (r *replay) push(seq uint64, frame []byte) {
	r.frames = append(r.frames, held{seq, frame})
	r.bytes += len(frame)
	drop := 0
	for r.bytes > maxReplayBytes || len(r.frames)-drop > maxReplayFrames {
		r.bytes -= len(r.frames[drop].frame)
		drop++
	}
	r.cut(drop)
}

// ack forgets everything up to seq.
func (r *replay) ack(seq uint64) {
	drop := 0
	for drop < len(r.frames) && r.frames[drop].seq <= seq {
		r.bytes -= len(r.frames[drop].frame)
		drop++
	}
	r.cut(drop)
}

func (r *replay) cut(n int) {
	if n == 0 {
		return
	}
	r.floor = r.frames[n-1].seq
	clear(r.frames[:n]) // let the bytes go although the array stays
	r.frames = r.frames[n:]
	if len(r.frames) == 0 {
		r.frames = nil
	}
}

// since returns the frames after seq; false if some of them are gone.
func (r *replay) since(seq, last uint64) ([]held, bool) {
	if seq < r.floor || seq > last {
		return nil, false
	}
	r.ack(seq)
	return r.frames, true
}

// reset gives all up: the client will be brought up to date another way.
func (r *replay) reset(last uint64) { *r = replay{floor: last} }
