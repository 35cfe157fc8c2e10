package info

import (
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Our extension members are written by their Go types, so that a member added
// to a struct is in both forms at once: its JSON name in kebab case as an
// element of our name space, a list as that element repeated, a map as entries
// with a key, a struct as children.

// members writes the fields of a struct.
func (w *writer) members(v any) { w.fields(reflect.ValueOf(v)) }

func (w *writer) fields(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		name, omit := jsonName(t.Field(i))
		if f := v.Field(i); name != "" && !(omit && empty(f)) {
			w.value("p:"+kebab(name), f)
		}
	}
}

func (w *writer) value(name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.value(name, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.value(name, v.Index(i))
		}
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			w.raw("<" + name)
			w.attr("key", key.String())
			w.raw(">")
			w.inner(v.MapIndex(key))
			w.raw("</" + name + ">")
		}
	default:
		w.raw("<" + name + ">")
		w.inner(v)
		w.raw("</" + name + ">")
	}
}

func (w *writer) inner(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.inner(v.Elem())
		}
	case reflect.Struct:
		w.fields(v)
	case reflect.String:
		w.escaped(v.String())
	case reflect.Bool:
		w.raw(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.raw(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.raw(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		w.raw(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	default:
		panic("info: an extension member of kind " + v.Kind().String()) // found by the first test
	}
}

// member reads one element of our name space into the struct v points to. What
// is not known is ignored, as the RFC wants.
func (r *reader) member(v any, s xml.StartElement) error {
	return r.field(reflect.ValueOf(v).Elem(), s)
}

func (r *reader) field(v reflect.Value, s xml.StartElement) error {
	t := v.Type()
	for i := range t.NumField() {
		if name, _ := jsonName(t.Field(i)); name != "" && kebab(name) == s.Name.Local {
			return r.set(v.Field(i), s)
		}
	}
	return r.skip()
}

func (r *reader) set(v reflect.Value, s xml.StartElement) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return r.set(v.Elem(), s)
	case reflect.Slice:
		e := reflect.New(v.Type().Elem()).Elem()
		if err := r.set(e, s); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
		return nil
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		if err := r.set(e, s); err != nil {
			return err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(attr(s, "key")).Convert(v.Type().Key()), e)
		return nil
	case reflect.Struct:
		return r.children(func(c xml.StartElement) error {
			if c.Name.Space != ExtNamespace {
				return r.skip()
			}
			return r.field(v, c)
		})
	default:
		text, err := r.text()
		if err != nil {
			return err
		}
		return setText(v, text)
	}
}

func setText(v reflect.Value, text string) error {
	if v.Kind() == reflect.String {
		v.SetString(text)
		return nil
	}
	text = strings.TrimSpace(text)
	var err error
	switch v.Kind() {
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(text, v.Type().Bits())
		if err == nil && (f != f || f-f != 0) { // JSON has no such number
			err = strconv.ErrRange
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("info: an extension member of kind %s", v.Kind())
	}
	if err != nil {
		return malformed("extension member")
	}
	return nil
}

// jsonName returns a field's name in JSON and whether it is left out when empty.
func jsonName(f reflect.StructField) (name string, omit bool) {
	name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() {
		return "", false
	}
	if name == "" {
		name = f.Name
	}
	return name, strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero")
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// kebab turns activeSpeakers into active-speakers.
func kebab(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
