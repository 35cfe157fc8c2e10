package admin

import (
	_ "embed"
	"encoding/json"
)

// openapi is made from the route table and the types of package api by
// go test ./internal/admin -run Document -update.
//
//go:embed openapi.json
var openapi []byte

func document(*call) (any, error) { return json.RawMessage(openapi), nil }
