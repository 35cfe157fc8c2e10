package topology_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"parley/internal/media/graph"
)

// packetOf makes an RTCP packet of any type around a body of words.
func packetOf(count, typ uint8, words ...uint32) []byte {
	b := []byte{0x80 | count, typ, 0, uint8(len(words))}
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// answer writes down what a packet led to at once: "=" for the bytes as they
// came, else the packet types, by leg.
func (l *lab) answer(in []byte) string {
	var legs []string
	for leg, got := range l.got {
		for _, s := range got {
			if bytes.Equal(s.b, in) {
				legs = append(legs, fmt.Sprintf("%d=", leg))
				continue
			}
			var types []string
			for b := s.b; len(b) >= 4; b = b[4+4*int(binary.BigEndian.Uint16(b[2:])):] {
				name := fmt.Sprint(b[1])
				if b[1] == 205 || b[1] == 206 {
					name += fmt.Sprintf("/%d", b[0]&31)
				}
				types = append(types, name)
			}
			legs = append(legs, fmt.Sprintf("%d:%s", leg, strings.Join(types, "+")))
		}
	}
	sort.Strings(legs)
	return strings.Join(legs, " ")
}

// TestMatrix walks every RTCP type in both directions through every recipe as
// the engine runs it (server profile, point 4). Leg 1 sends and is shown, leg 2
// sends and, where there are slots, is not, leg 3 watches. The target of
// feedback is what leg 3 is sent.
func TestMatrix(t *testing.T) {
	types := []struct {
		name string
		make func(from, target uint32) []byte
	}{
		{"SR", func(f, _ uint32) []byte { return packetOf(0, 200, f, 1, 2, 3, 4, 5) }},
		{"RR", func(f, m uint32) []byte { return packetOf(1, 201, f, m, 1, 2, 3, 4, 5) }},
		{"SDES", func(f, _ uint32) []byte { return packetOf(1, 202, f, 0x01026162, 0) }},
		{"BYE", func(f, _ uint32) []byte { return packetOf(1, 203, f) }},
		{"APP", func(f, _ uint32) []byte { return packetOf(0, 204, f, 0x61626364) }},
		{"NACK", func(f, m uint32) []byte { return packetOf(1, 205, f, m, 0x7fff0000) }},
		{"TMMBR", func(f, m uint32) []byte { return packetOf(3, 205, f, 0, m, 100<<9) }},
		{"TMMBN", func(f, m uint32) []byte { return packetOf(4, 205, f, 0, m, 100<<9) }},
		{"RAMS", func(f, m uint32) []byte { return packetOf(6, 205, f, m, 0) }},
		{"CCFB", func(f, m uint32) []byte { return packetOf(11, 205, f, m, 0, 0) }},
		{"TWCC", func(f, m uint32) []byte { return packetOf(15, 205, f, m, 1, 2, 3) }},
		{"PLI", func(f, m uint32) []byte { return packetOf(1, 206, f, m) }},
		{"SLI", func(f, m uint32) []byte { return packetOf(2, 206, f, m, 0) }},
		{"FIR", func(f, m uint32) []byte { return packetOf(4, 206, f, 0, m, 1<<24) }},
		{"REMB", func(f, m uint32) []byte { return packetOf(15, 206, f, 0, 0x52454d42, 1<<24|9, m) }},
		{"XR", func(f, _ uint32) []byte { return packetOf(0, 207, f) }},
		{"RSI", func(f, m uint32) []byte { return packetOf(0, 209, f, m, 0, 0) }},
		{"195", func(f, _ uint32) []byte { return packetOf(0, 195, f) }},
	}
	for _, r := range []struct {
		name         string
		from1, from2 string // what passes as a rule
		from3        string
		except       map[string]string // by leg and type
	}{
		{name: "sfu", except: map[string]string{"3 PLI": "1:201+202+206/1", "3 FIR": "1:201+202+206/1", "3 TMMBR": "3:201+202+205/4"}},
		{name: "switch", except: map[string]string{"3 PLI": "1:201+202+206/1", "3 FIR": "1:201+202+206/1", "3 TMMBR": "3:201+202+205/4"}},
		{name: "rtcp-terminating-mcu", except: map[string]string{"3 PLI": "1:201+202+206/1", "3 FIR": "1:201+202+206/1", "3 TMMBR": "3:201+202+205/4"}},
		{name: "relay", from1: "2= 3= 4=", from2: "1= 3= 4=", from3: "1= 2= 4="},
		{name: "video-switching-mcu", from1: "2= 3= 4=", from2: "1= 3= 4=", from3: "1= 2= 4=",
			except: map[string]string{"2 SR": "1:201 3:201 4:201", "3 SR": "1:201 2:201 4:201"}},
		// Leg 3 is the outer one, 1 and 2 are the group. What is about the mix ends here.
		{name: "asymmetric", from1: "2=", from2: "1=", except: map[string]string{"3 SR": "1:200 2:200", "3 SDES": "1= 2=", "3 BYE": "1= 2=", "3 RR": "1:201 2:201",
			"3 PLI": "4:201+202+206/1", "3 FIR": "4:201+202+206/1", "3 TMMBR": "3:201+202+205/4 4:201+202+205/3"}},
	} {
		for _, x := range types {
			for leg, rule := range map[graph.LegID]string{1: r.from1, 2: r.from2, 3: r.from3} {
				l := newHall(t, r.name)
				a, b := l.stage()
				l.play(2*time.Second, a, a, b)
				l.clear()
				target := map[bool]uint32{true: a.ssrc, false: slotBase + 3}[r.name == "relay" || r.name == "video-switching-mcu"]
				in := x.make(map[graph.LegID]uint32{1: a.ssrc, 2: b.ssrc, 3: 0xC1C1C1C1}[leg], target)
				// Without Tick, so that nothing but the answer is there.
				l.el.HandleFeedback(l.now, leg, in, &l.out)
				if other, ok := r.except[fmt.Sprintf("%d %s", leg, x.name)]; ok {
					rule = other
				}
				if got := l.answer(in); got != rule {
					t.Errorf("%s: %s from leg %d gives %q, want %q", r.name, x.name, leg, got, rule)
				}
			}
		}
	}
}
