package rtcp

import "encoding/binary"

// head appends a packet header for a body of n bytes.
func head(b []byte, count, typ uint8, n int) []byte {
	return append(b, 0x80|count, typ, uint8(n/4>>8), uint8(n/4))
}

func put32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

func putBlocks(b []byte, bl []Block) []byte {
	for i := range bl {
		x := &bl[i]
		b = put32(b, x.SSRC)
		b = put32(b, uint32(x.Fraction)<<24|uint32(clampLost(x.Lost))&0xffffff)
		b = put32(b, x.Highest)
		b = put32(b, x.Jitter)
		b = put32(b, x.LSR)
		b = put32(b, x.DLSR)
	}
	return b
}

// clampLost keeps the cumulative loss in 24 bits signed (RFC 3550, A.3).
func clampLost(v int32) int32 { return max(-0x800000, min(0x7fffff, v)) }

// AppendSR appends a sender report; blocks beyond MaxBlocks are left out.
func AppendSR(b []byte, ssrc uint32, s SenderInfo, bl []Block) []byte {
	bl = bl[:min(len(bl), MaxBlocks)]
	b = head(b, uint8(len(bl)), TypeSR, 24+blockLen*len(bl))
	b = put32(b, ssrc)
	b = binary.BigEndian.AppendUint64(b, s.NTP)
	b = put32(b, s.RTP)
	b = put32(b, s.Packets)
	b = put32(b, s.Octets)
	return putBlocks(b, bl)
}

// AppendRR appends a receiver report; blocks beyond MaxBlocks are left out.
func AppendRR(b []byte, ssrc uint32, bl []Block) []byte {
	bl = bl[:min(len(bl), MaxBlocks)]
	b = head(b, uint8(len(bl)), TypeRR, 4+blockLen*len(bl))
	return putBlocks(put32(b, ssrc), bl)
}

// AppendSDES appends one SDES packet with one chunk holding a CNAME.
func AppendSDES(b []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), 255)]
	n := (4 + 2 + len(cname) + 4) &^ 3 // item list ends with at least one zero
	b = head(b, 1, TypeSDES, n)
	b = put32(b, ssrc)
	b = append(b, SDESCNAME, uint8(len(cname)))
	b = append(b, cname...)
	for i := 6 + len(cname); i < n; i++ {
		b = append(b, 0)
	}
	return b
}

// AppendBYE appends a BYE for at most 31 sources.
func AppendBYE(b []byte, ssrcs ...uint32) []byte {
	ssrcs = ssrcs[:min(len(ssrcs), MaxBlocks)]
	b = head(b, uint8(len(ssrcs)), TypeBYE, 4*len(ssrcs))
	for _, s := range ssrcs {
		b = put32(b, s)
	}
	return b
}

// AppendNACK appends a generic NACK for ascending sequence numbers, packed into
// PID/BLP pairs (RFC 4585, section 6.2.1).
func AppendNACK(b []byte, sender, media uint32, seqs []uint16) []byte {
	if len(seqs) == 0 {
		return b
	}
	at := len(b)
	b = head(b, FmtNACK, TypeRTPFB, 0)
	b = put32(put32(b, sender), media)
	for i := 0; i < len(seqs); {
		pid, blp := seqs[i], uint16(0)
		for i++; i < len(seqs) && seqs[i]-pid-1 < 16; i++ {
			blp |= 1 << (seqs[i] - pid - 1)
		}
		b = binary.BigEndian.AppendUint16(b, pid)
		b = binary.BigEndian.AppendUint16(b, blp)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16((len(b)-at)/4-1))
	return b
}

// AppendPLI appends a picture loss indication.
func AppendPLI(b []byte, sender, media uint32) []byte {
	b = head(b, FmtPLI, TypePSFB, 8)
	return put32(put32(b, sender), media)
}

// AppendFIR appends a full intra request; the media source field is 0 and the
// target is in the FCI (RFC 5104, section 4.3.1.2).
func AppendFIR(b []byte, sender, target uint32, seq uint8) []byte {
	b = head(b, FmtFIR, TypePSFB, 16)
	b = put32(put32(put32(b, sender), 0), target)
	return append(b, seq, 0, 0, 0)
}

// AppendREMB appends a receiver estimate for the given sources (≤ 255).
func AppendREMB(b []byte, sender uint32, bitrate uint64, ssrcs []uint32) []byte {
	ssrcs = ssrcs[:min(len(ssrcs), 255)]
	b = head(b, FmtAFB, TypePSFB, 16+4*len(ssrcs))
	b = put32(put32(b, sender), 0)
	b = append(b, "REMB"...)
	exp := uint32(0)
	for ; bitrate > 0x3ffff; bitrate >>= 1 {
		exp++
	}
	b = put32(b, uint32(len(ssrcs))<<24|exp<<18|uint32(bitrate))
	for _, s := range ssrcs {
		b = put32(b, s)
	}
	return b
}

// AppendTMMBN appends a notification; no limits means none remains.
func AppendTMMBN(b []byte, sender uint32, limits []Limit) []byte {
	b = head(b, FmtTMMBN, TypeRTPFB, 8+8*len(limits))
	b = put32(put32(b, sender), 0)
	return putLimits(b, limits)
}

// AppendTMMBR appends a request.
func AppendTMMBR(b []byte, sender uint32, limits []Limit) []byte {
	b = head(b, FmtTMMBR, TypeRTPFB, 8+8*len(limits))
	b = put32(put32(b, sender), 0)
	return putLimits(b, limits)
}

func putLimits(b []byte, limits []Limit) []byte {
	for _, l := range limits {
		exp := uint32(0)
		for ; l.Bitrate > 0x1ffff; l.Bitrate >>= 1 {
			exp++
		}
		b = put32(put32(b, l.SSRC), exp<<26|uint32(l.Bitrate)<<9|uint32(l.Overhead&0x1ff))
	}
	return b
}

// Missing marks a packet that did not arrive in the deltas of AppendTWCC.
const Missing = int32(-1 << 31)

// AppendTWCC appends transport-wide congestion control feedback: packet base+i
// arrived deltas[i] ticks of 250 µs after the one before it (the first: after
// ref, in units of 64 ms), or is Missing. Deltas must fit int16.
func AppendTWCC(b []byte, sender, media uint32, base uint16, ref uint32, count uint8, deltas []int32) []byte {
	at := len(b)
	b = head(b, FmtTWCC, TypeRTPFB, 0)
	b = put32(put32(b, sender), media)
	b = binary.BigEndian.AppendUint16(b, base)
	b = binary.BigEndian.AppendUint16(b, uint16(len(deltas)))
	b = put32(b, ref<<8|uint32(count))
	b = twccChunks(b, deltas)
	for _, d := range deltas {
		switch symbol(d) {
		case 1:
			b = append(b, uint8(d))
		case 2:
			b = binary.BigEndian.AppendUint16(b, uint16(int16(d)))
		}
	}
	if pad := (4 - (len(b)-at)%4) % 4; pad > 0 {
		b[at] |= 0x20
		for i := 1; i < pad; i++ {
			b = append(b, 0)
		}
		b = append(b, uint8(pad))
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16((len(b)-at)/4-1))
	return b
}

func symbol(d int32) uint16 {
	switch {
	case d == Missing:
		return 0
	case d >= 0 && d <= 255:
		return 1
	}
	return 2
}

// twccChunks writes run-length chunks for runs of seven or more, else vectors
// of seven two-bit symbols.
func twccChunks(b []byte, deltas []int32) []byte {
	for i := 0; i < len(deltas); {
		s, run := symbol(deltas[i]), 1
		for i+run < len(deltas) && run < 0x1fff && symbol(deltas[i+run]) == s {
			run++
		}
		if run >= 7 || i+run == len(deltas) {
			b = binary.BigEndian.AppendUint16(b, s<<13|uint16(run))
			i += run
			continue
		}
		v := uint16(0xC000)
		for k := 0; k < 7 && i+k < len(deltas); k++ {
			v |= symbol(deltas[i+k]) << (12 - 2*k)
		}
		b = binary.BigEndian.AppendUint16(b, v)
		i += min(7, len(deltas)-i)
	}
	return b
}
