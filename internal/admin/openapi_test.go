package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/api"
)

var update = flag.Bool("update", false, "rewrite openapi.json")

type object = map[string]any

// generate makes the document of the route table and the types of package api.
func generate() []byte {
	schemas, paths := object{}, object{}
	for i := range routes {
		r := &routes[i]
		p, _ := paths[Prefix+r.path].(object)
		if p == nil {
			p = object{}
			paths[Prefix+r.path] = p
		}
		p[strings.ToLower(r.method)] = operation(r, schemas)
	}
	schemaOf(reflect.TypeFor[api.Error](), schemas)
	var webhook = schemaOf(reflect.TypeFor[api.WebhookEvent](), schemas)
	doc := object{
		"openapi": "3.1.0",
		"info":    object{"title": "Parley administration", "version": "1", "description": "Conferences, the people in them, and commands. See docs/api.md."},
		"paths":   paths,
		"webhooks": object{"event": object{"post": object{
			"summary":     "An event of a conference, signed: Parley-Signature is v1= and the hex HMAC-SHA256 of Parley-Timestamp, a dot and the body",
			"requestBody": object{"content": object{"application/json": object{"schema": webhook}}},
			"responses":   object{"2XX": object{"description": "Taken; anything else is tried again"}},
		}}},
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
		"security": []object{{"bearer": []string{}}},
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

func operation(r *route, schemas object) object {
	op := object{"operationId": r.id, "summary": r.summary}
	if r.public {
		op["security"] = []object{}
	}
	var params []object
	for _, seg := range strings.Split(r.path, "/") {
		if strings.HasPrefix(seg, "{") {
			s := object{"type": "string"}
			if seg == "{method}" {
				var names []string
				for m := range commands {
					names = append(names, m)
				}
				slices.Sort(names)
				s["enum"] = names
			}
			params = append(params, object{"name": strings.Trim(seg, "{}"), "in": "path", "required": true, "schema": s})
		}
	}
	for _, q := range r.query {
		params = append(params, object{"name": q.name, "in": q.in, "description": q.text, "schema": object{"type": q.kind}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.in != nil {
		content := object{"application/json": object{"schema": schemaOf(reflect.TypeOf(r.in), schemas)}}
		if r.bare != "" {
			content[r.bare] = object{"schema": object{"type": "string"}}
		}
		op["requestBody"] = object{"content": content}
	}
	responses := object{}
	ok := object{"description": "Done"}
	if r.out != nil {
		content := object{"application/json": object{"schema": schemaOf(reflect.TypeOf(r.out), schemas)}}
		if r.bare != "" {
			content[r.bare] = object{"schema": object{"type": "string"}}
		}
		ok["content"] = content
	}
	responses[strconv.Itoa(r.code)] = ok
	for _, code := range refusals(r) {
		responses[strconv.Itoa(code)] = object{
			"description": "Refused",
			"content":     object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}},
		}
	}
	op["responses"] = responses
	return op
}

func refusals(r *route) []int {
	if r.public {
		return nil
	}
	out := append([]int{401, 403, 404, 429, 503}, r.refusals...)
	if r.in != nil || r.query != nil {
		out = append(out, 400)
	}
	if r.in != nil {
		out = append(out, 413, 415)
	}
	return out
}

var raw = reflect.TypeFor[json.RawMessage]()

// schemaOf describes a type as encoding/json writes it.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == raw:
		return object{"type": "object"}
	case t == reflect.TypeFor[api.Role]():
		return object{"type": "string", "enum": []string{"owner", "moderator", "presenter", "attendee", "observer", "lobby"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), schemas)
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Map:
		return object{"type": "object"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		if _, ok := schemas[t.Name()]; !ok {
			schemas[t.Name()] = nil // against recursion
			schemas[t.Name()] = structOf(t, schemas)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	return object{"type": "integer"}
}

func structOf(t reflect.Type, schemas object) object {
	props, required := object{}, []string{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous {
				walk(f.Type)
				continue
			}
			name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			props[name] = schemaOf(f.Type, schemas)
			if !strings.Contains(opts, "omit") {
				required = append(required, name)
			}
		}
	}
	walk(t)
	s := object{"type": "object", "properties": props}
	if len(required) > 0 && !strings.HasPrefix(t.Name(), "Create") && !strings.HasPrefix(t.Name(), "Patch") {
		s["required"] = required
	}
	return s
}

// TestDocumentMatchesTheHandlers keeps openapi.json equal to the route table,
// from which the handlers are made; -update rewrites it.
func TestDocumentMatchesTheHandlers(t *testing.T) {
	want := generate()
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		openapi = want
	}
	if !bytes.Equal(openapi, want) {
		t.Fatal("openapi.json differs from the code; run with -update")
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	seen, n := map[string]bool{}, 0
	for path, ops := range doc.Paths {
		for method, op := range ops {
			n++
			if seen[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: operationId %q", method, path, op.OperationID)
			}
			seen[op.OperationID] = true
		}
	}
	if n != len(routes) {
		t.Errorf("%d operations, %d routes", n, len(routes))
	}
}

// conforms says what of a value does not fit a schema of the document.
func conforms(doc object, schema object, v any, at string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		schema = doc["components"].(object)["schemas"].(object)[name].(object)
	}
	kind := map[string]bool{}
	switch v := v.(type) {
	case object:
		kind["object"] = true
		props, _ := schema["properties"].(object)
		for k, m := range v {
			if p, ok := props[k].(object); ok {
				wrong = append(wrong, conforms(doc, p, m, at+"."+k)...)
			} else if props != nil {
				wrong = append(wrong, at+"."+k+": not in the schema")
			}
		}
		req, _ := schema["required"].([]any)
		for _, k := range req {
			if _, ok := v[k.(string)]; !ok {
				wrong = append(wrong, at+": lacks "+k.(string))
			}
		}
	case []any:
		kind["array"] = true
		for i, m := range v {
			items, _ := schema["items"].(object)
			wrong = append(wrong, conforms(doc, items, m, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case string:
		kind["string"] = true
		if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, any(v)) {
			wrong = append(wrong, at+": "+v+" is not in the enumeration")
		}
	case bool:
		kind["boolean"] = true
	case float64:
		kind["number"] = true
		kind["integer"] = v == float64(int64(v))
	}
	if want, _ := schema["type"].(string); !kind[want] {
		wrong = append(wrong, fmt.Sprintf("%s: %T is not %s", at, v, want))
	}
	return wrong
}
