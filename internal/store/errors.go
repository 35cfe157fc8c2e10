package store

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// What a caller can act on; everything else means that the store is not well.
var (
	ErrNotFound = errors.New("store: no such record")
	ErrConflict = errors.New("store: the record has another revision")
	ErrTooLarge = errors.New("store: the record is too large")
	ErrFull     = errors.New("store: no place for another record")
)

// wrongRevision is JetStream's code for a failed compare-and-set.
const wrongRevision = 10071

// mapped turns the library's errors into ours.
func mapped(err error) error {
	var je jetstream.JetStreamError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists):
		return ErrConflict
	case errors.As(err, &je) && je.APIError() != nil && je.APIError().ErrorCode == wrongRevision:
		return ErrConflict
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("store: no answer in time")
	}
	return err
}
