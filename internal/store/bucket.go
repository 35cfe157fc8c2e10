package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markerTTL is how long a deletion is remembered, for watchers that were away.
const markerTTL = time.Hour

// headroom is for the headers of a message, which count into its size.
const headroom = 1 << 10

// Bucket is a named set of records.
type Bucket struct {
	s   *Store
	kv  jetstream.KeyValue
	max int
}

// Entry is one record, or the news that it is gone.
type Entry struct {
	Key     string
	Value   []byte
	Rev     uint64 // grows with every write to the bucket; never zero
	Deleted bool
}

// Bucket opens a bucket, made if missing. Keys are letters, digits and "-_/=";
// max bounds one value in bytes.
func (s *Store) Bucket(ctx context.Context, name string, max int) (*Bucket, error) {
	cfg := jetstream.KeyValueConfig{
		Bucket: name, History: 1, Storage: jetstream.FileStorage, MaxValueSize: int32(max + headroom),
		MaxBytes: maxStore / 2, LimitMarkerTTL: markerTTL,
	}
	// A server that has just started may not answer at once.
	for try := 1; ; try++ {
		c, cancel := bounded(ctx)
		kv, err := s.js.CreateOrUpdateKeyValue(c, cfg)
		cancel()
		if err == nil {
			return &Bucket{s: s, kv: kv, max: max}, nil
		}
		if try == 5 || ctx.Err() != nil {
			return nil, mapped(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// Get reads one record; [ErrNotFound] when there is none.
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	e, err := b.kv.Get(ctx, key)
	if err = b.s.note(&b.s.counts.reads, err); err != nil {
		return Entry{}, err
	}
	return entry(e), nil
}

// Put writes a record over one of revision rev, or a new one when rev is zero;
// [ErrConflict] when it is otherwise. It returns the new revision.
func (b *Bucket) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if len(value) > b.max {
		return 0, ErrTooLarge
	}
	if err := b.s.well(); err != nil {
		return 0, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var err error
	if rev == 0 {
		rev, err = b.kv.Create(ctx, key, value)
	} else {
		rev, err = b.kv.Update(ctx, key, value, rev)
	}
	return rev, b.wrote(err)
}

// wrote judges how a write ended.
func (b *Bucket) wrote(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		b.s.ail()
	}
	return b.s.note(&b.s.counts.writes, err)
}

// Delete removes a record of revision rev. One that is gone already is no error.
func (b *Bucket) Delete(ctx context.Context, key string, rev uint64) error {
	if err := b.s.well(); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := b.wrote(b.kv.Purge(ctx, key, jetstream.LastRevision(rev), jetstream.PurgeTTL(markerTTL)))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List reads every record.
func (b *Bucket) List(ctx context.Context) ([]Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	w, err := b.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err = b.s.note(&b.s.counts.reads, err); err != nil {
		return nil, err
	}
	defer func() { _ = w.Stop() }()
	var out []Entry
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok || e == nil { // nil: all that was there
				return out, nil
			}
			out = append(out, entry(e))
		case <-ctx.Done():
			return nil, mapped(ctx.Err())
		}
	}
}

// Watch calls f with every record there is, then once with a zero Entry, then
// with every change, until ctx ends. It returns when that is so, or at once
// with an error.
func (b *Bucket) Watch(ctx context.Context, f func(Entry)) error {
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return mapped(err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return nil
			case e == nil:
				f(Entry{})
			default:
				f(entry(e))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func entry(e jetstream.KeyValueEntry) Entry {
	return Entry{Key: e.Key(), Value: e.Value(), Rev: e.Revision(), Deleted: e.Operation() != jetstream.KeyValuePut}
}
