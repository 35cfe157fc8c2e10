package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"object", `{"kind":"request","id":"1","params":{"a":[1,2.5,-3e4,true,false,null]}}`, nil},
		{"pair", `"\ud83d\ude00"`, nil},
		{"uint64", `18446744073709551615`, nil},
		{"space", " \t\r\n{ \"a\" : [ ] } ", nil},
		{"same name elsewhere", `{"a":{"a":1},"b":{"a":1}}`, nil},
		{"empty", ``, ErrSyntax},
		{"two values", `{} {}`, ErrSyntax},
		{"comma", `[1,]`, ErrSyntax},
		{"leading zero", `01`, ErrSyntax},
		{"plus", `+1`, ErrSyntax},
		{"bare dot", `1.`, ErrSyntax},
		{"exponent", `1e`, ErrSyntax},
		{"raw control", "\"a\nb\"", ErrSyntax},
		{"bad escape", `"\x"`, ErrSyntax},
		{"open string", `"abc`, ErrSyntax},
		{"open object", `{"a":1`, ErrSyntax},
		{"duplicate", `{"from":1,"from":2}`, ErrDuplicate},
		{"duplicate by case", `{"from":1,"From":2}`, ErrDuplicate},
		{"duplicate by escape", `{"from":1,"\u0066rom":2}`, ErrDuplicate},
		{"duplicate by kelvin", `{"kind":1,"\u212aind":2}`, ErrDuplicate},
		{"duplicate by long s", `{"sdp":1,"\u017fdp":2}`, ErrDuplicate},
		{"NUL escaped", `"a\u0000b"`, ErrNUL},
		{"NUL raw", "\"a\x00b\"", ErrNUL},
		{"lone high", `"\ud83d"`, ErrSurrogate},
		{"lone low", `"\ude00"`, ErrSurrogate},
		{"high high", `"\ud83d\ud83d"`, ErrSurrogate},
		{"overflow integer", `18446744073709551616`, ErrNumber},
		{"overflow float", `1e999`, ErrNumber},
		{"long number", `1` + strings.Repeat("0", 100) + `.5`, ErrNumber},
		{"utf8", "\"\xff\"", ErrUTF8},
		{"depth 32", strings.Repeat("[", 32) + strings.Repeat("]", 32), nil},
		{"depth 33", strings.Repeat("[", 33) + strings.Repeat("]", 33), ErrDepth},
		{"depth objects", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), ErrDepth},
		{"depth bomb", strings.Repeat("[", 100000), ErrDepth},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := Check([]byte(tc.in)); !errors.Is(err, tc.want) {
				t.Fatalf("Check = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestManyNames(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"n":0`)
	for i := range 100 {
		b.WriteString(`,"` + strings.Repeat("x", i+1) + `":0`)
	}
	if err := Check([]byte(b.String() + "}")); err != nil {
		t.Fatal(err)
	}
	if err := Check([]byte(b.String() + `,"xxx":1}`)); !errors.Is(err, ErrDuplicate) {
		t.Fatalf("late duplicate: %v", err)
	}
}

// FuzzCheck holds that whatever passes is JSON to encoding/json as well, and
// that plain JSON refused is refused for one of the named reasons.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[1,2,{"b":"\ud83d\ude00"}]`, `{"a":1,"a":2}`, `"\u0000"`, `1e400`, `{"kind":"hello","versions":[1]}`, `-`, `"\`, "[[[["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b)
		if err == nil && !json.Valid(b) {
			t.Fatalf("accepted what encoding/json refuses: %q", b)
		}
		if errors.Is(err, ErrSyntax) && json.Valid(b) {
			t.Fatalf("called malformed what encoding/json reads: %q", b)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	in := []byte(`{"kind":"request","id":"01J9Q4Z8V2","method":"track.mute","conf":"conf_7Kq","params":{"track":"trk_55","muted":true},"ack":118}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := Check(in); err != nil {
			b.Fatal(err)
		}
	}
}
