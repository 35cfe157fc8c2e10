package info

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// validate has xmllint (Debian: libxml2-utils) hold documents against the
// RFC's schema. It is part of what the package promises: no xmllint, no pass.
func validate(t *testing.T, docs ...[]byte) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--noout", "--nonet", "--schema", "testdata/conference-info.xsd"}
	for i, b := range docs {
		name := filepath.Join(dir, fmt.Sprintf("doc%04d.xml", i))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	out, err := exec.Command("xmllint", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("xmllint (package libxml2-utils): %v\n%.2000s", err, out)
	}
	if got := strings.Count(string(out), " validates\n"); got != len(docs) {
		t.Fatalf("%d of %d documents validate\n%.2000s", got, len(docs), out)
	}
}

func read(t *testing.T, b []byte) *Document {
	t.Helper()
	d, err := ParseXML(b, Reading{})
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return d
}

// xmlExample is the document of the specification, section 1.7.
func xmlExample(t *testing.T, n int) []byte {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("testdata/example%d.xml", n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestXMLExamples: the written examples are valid, mean what their JSON form
// says, and lead to the same state (check CI-1).
func TestCI1_XMLExamples(t *testing.T) {
	var s Subscriber
	var docs [][]byte
	for n := 1; n <= 3; n++ {
		b := xmlExample(t, n)
		docs = append(docs, b)
		d := read(t, b)
		if want := example(t, n); !reflect.DeepEqual(d, want) {
			t.Errorf("example %d:\n got %s\nwant %s", n, text1(t, d), text1(t, want))
		}
		if v := s.Accept(d); v != Accepted {
			t.Errorf("example %d: verdict %d", n, v)
		}
		docs = append(docs, AppendXML(nil, d), AppendXML(nil, s.Doc))
	}
	validate(t, docs...)
}

// canonical is the sequence of elements, attributes and texts: what is left of
// a document when prefixes, order of attributes and spaces between elements
// are taken away.
func canonical(t *testing.T, b []byte) string {
	t.Helper()
	var out strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.Token()
		if err != nil {
			return out.String()
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			attrs := map[string]string{}
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					attrs[a.Name.Space+" "+a.Name.Local] = a.Value
				}
			}
			fmt.Fprintf(&out, "<%s %s %v>", tok.Name.Space, tok.Name.Local, attrs)
		case xml.EndElement:
			out.WriteString("</>")
		case xml.CharData:
			out.WriteString(strings.TrimSpace(string(tok)))
		}
	}
}

// TestCI4_XMLToJSONAndBack: for random documents of every state, the XML is
// valid, goes to JSON and back without loss, and so does the JSON.
func TestCI4_XMLToJSONAndBack(t *testing.T) {
	const seed = 4
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	var sample [][]byte
	for i := range 1000 {
		d := randomDocument(r, 0)
		x := AppendXML(nil, d)
		fromXML := read(t, x)
		j := text1(t, fromXML)
		back := new(Document)
		if err := json.Unmarshal([]byte(j), back); err != nil {
			t.Fatal(err)
		}
		again := AppendXML(nil, back)
		if got, want := canonical(t, again), canonical(t, x); got != want {
			t.Fatalf("document %d\n got %s\nwant %s", i, got, want)
		}
		if want := text1(t, d); j != want {
			t.Fatalf("document %d through XML\n got %s\nwant %s\n xml %s", i, j, want, x)
		}
		if i%10 == 0 {
			sample = append(sample, x)
		}
	}
	validate(t, sample...)
}

// TestXMLSaysEverything: a document with every element there is.
func TestXMLSaysEverything(t *testing.T) {
	d := everything()
	b := AppendXML(nil, d)
	validate(t, b)
	if got := read(t, b); !reflect.DeepEqual(got, d) {
		t.Errorf("got  %s\nwant %s", text1(t, got), text1(t, d))
	}
	for _, name := range []string{"host-info", "web-page", "service-uris", "available-media", "roles", "languages",
		"associated-aors", "cascaded-focus", "referred", "joining-info", "disconnection-info", "disconnection-method",
		"call-info", "from-tag", "sidebars-by-ref", "sidebars-by-val", "keywords", "free-text", "subject", "modified", "purpose",
		"maximum-user-count", "src-id", "p:rev", "p:reachability", "p:muted-by"} {
		if !bytes.Contains(b, []byte("<"+name)) {
			t.Errorf("no %s in\n%s", name, b)
		}
	}
}

func TestXMLTextIsEscaped(t *testing.T) {
	name := "<b>&\"'\t\r\n]]>\u00e9\u4e2d\U0001F600"
	d := &Document{Entity: "sip:a@b", State: Full, Version: 1, Users: &Users{State: Full, User: map[string]*User{
		`sip:"q"&<x>`: {State: Full, DisplayText: name}}}}
	b := AppendXML(nil, d)
	if got := read(t, b); !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v\n%s", got.Users, b)
	}
	d.Users.User[`sip:"q"&<x>`].DisplayText = "bell\aand\x00 and \xff"
	read(t, AppendXML(nil, d)) // XML cannot carry them; the document stands nevertheless
}

// TestXMLIgnoresWhatIsForeign (RFC 4575, section 4.2).
func TestXMLIgnoresWhatIsForeign(t *testing.T) {
	d := read(t, []byte(`<c:conference-info xmlns:c="`+Namespace+`" xmlns:f="urn:f" entity="sip:a@b" version="3" f:x="1" more="2">
	 <!-- no state is full --><?pi x?>
	 <f:users><c:user entity="no"/></f:users>
	 <c:future/><users xmlns="">none</users>
	 <c:users state="full" f:state="partial"><f:user entity="x"/>
	  <c:user entity=" u " f:entity="no"><c:display-text>A<f:b>no</f:b>B<![CDATA[<C>]]></c:display-text>
	  <c:endpoint entity="e"><c:call-info><f:other><c:sip/></f:other></c:call-info><c:status> connected </c:status>
	  <c:media id="1"><p:muted-by xmlns:p="`+ExtNamespace+`">self</p:muted-by><p:future xmlns:p="`+ExtNamespace+`"><p:x/></p:future></c:media></c:endpoint></c:user>
	 </c:users></c:conference-info> <!-- end -->`))
	want := &Document{Entity: "sip:a@b", State: Full, Version: 3, Users: &Users{State: Full, User: map[string]*User{
		" u ": {State: Full, DisplayText: "AB<C>", Endpoint: map[string]*Endpoint{
			"e": {State: Full, Status: "connected", Media: map[string]Media{"1": {Ext: MediaExt{MediaMembers{MutedBy: "self"}}}}}}}}}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %s\nwant %s", text1(t, d), text1(t, want))
	}
}

func TestXMLRefuses(t *testing.T) {
	root := func(inside string) string {
		return `<conference-info xmlns="` + Namespace + `" entity="e" version="1">` + inside + `</conference-info>`
	}
	deep := strings.Repeat("<x>", 100) + strings.Repeat("</x>", 100)
	val := strings.Repeat(`<sidebars-by-val><entry entity="s">`, 6) + strings.Repeat(`</entry></sidebars-by-val>`, 6)
	for name, text := range map[string]string{
		"nothing": "", "spaces": "  ", "text": "hello", "open": root("")[:40], "two roots": root("") + root(""),
		"doctype":         `<!DOCTYPE conference-info [<!ENTITY a "b">]>` + root(""),
		"entity":          root("<users>&a;</users>"),
		"foreign root":    `<conference-info xmlns="urn:x" entity="e" version="1"/>`,
		"no entity":       `<conference-info xmlns="` + Namespace + `" version="1"/>`,
		"no version":      `<conference-info xmlns="` + Namespace + `" entity="e"/>`,
		"version":         strings.Replace(root(""), `version="1"`, `version="4294967296"`, 1),
		"state":           strings.Replace(root(""), `version="1"`, `version="1" state="half"`, 1),
		"user count":      root("<conference-state><user-count>-1</user-count></conference-state>"),
		"active":          root("<conference-state><active>yes</active></conference-state>"),
		"two users":       root(`<users><user entity="a"/><user entity="a"/></users>`),
		"media without":   root(`<users><user entity="a"><endpoint entity="b"><media/></endpoint></user></users>`),
		"sidebar without": root(`<sidebars-by-ref><entry><display-text>x</display-text></entry></sidebars-by-ref>`),
		"deep":            root(deep), "sidebars in sidebars": root(val),
		"large":    root("<x>" + strings.Repeat("y", MaxXML) + "</x>"),
		"rev":      root(`<rev xmlns="` + ExtNamespace + `">x</rev>`),
		"encoding": `<?xml version="1.0" encoding="ISO-8859-1"?>` + root(""),
		"utf-8":    root("<x>\xff</x>"),
	} {
		if d, err := ParseXML([]byte(text), Reading{}); err == nil {
			t.Errorf("%s: read as %s", name, text1(t, d))
		}
	}
	if _, err := ParseXML([]byte(root("")), Reading{}); err != nil {
		t.Error(err)
	}
}

// FuzzParseXML: what is read can be written, read again and is the same, and a
// subscriber takes it without falling over.
func FuzzParseXML(f *testing.F) {
	for n := 1; n <= 3; n++ {
		b, err := os.ReadFile(fmt.Sprintf("testdata/example%d.xml", n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(AppendXML(nil, everything()))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseXML(b, Reading{LenientUsers: len(b)%2 == 0})
		if err != nil {
			return
		}
		again, err := ParseXML(AppendXML(nil, d), Reading{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := text1(t, again), text1(t, d); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		s := Subscriber{Doc: example(t, 1)}
		if s.Accept(d) == Accepted {
			Diff(example(t, 1), s.Doc)
			Diff(s.Doc, example(t, 1))
		}
	})
}

func BenchmarkXML500(b *testing.B) {
	d := roster(500)
	x := AppendXML(nil, d)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(x)))
		for b.Loop() {
			AppendXML(nil, d)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(x)))
		for b.Loop() {
			if _, err := ParseXML(x, Reading{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
