package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"parley/api"
)

const (
	bucketName = "definitions"
	// maxDefinition holds a thousand bans of the longest identities.
	maxDefinition = 384 << 10
	// maxDefinitions bounds what strangers can fill a --dev server with. At the
	// limit, the conference that ended longest ago makes place.
	maxDefinitions = 10_000
)

// Definitions are the conferences that outlive a restart. All of them are held
// in memory as well, following the bucket: reads never wait.
type Definitions struct {
	b      *Bucket
	limit  int
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.RWMutex // guards byURI
	byURI map[string]kept
}

type kept struct {
	def  api.Definition
	rev  uint64
	gone bool // deleted by us, and the bucket has not said so yet
}

// Definitions opens the bucket of definitions and reads it. Close ends it.
func (s *Store) Definitions(ctx context.Context) (*Definitions, error) {
	b, err := s.Bucket(ctx, bucketName, maxDefinition)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	d := &Definitions{b: b, limit: maxDefinitions, cancel: cancel, done: make(chan struct{}), byURI: map[string]kept{}}
	read := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(d.done)
		failed <- b.Watch(run, func(e Entry) {
			if e.Key == "" {
				close(read)
				return
			}
			d.follow(e)
		})
	}()
	ctx, stop := bounded(ctx)
	defer stop()
	select {
	case <-read:
		return d, nil
	case err = <-failed:
	case <-ctx.Done():
		err = mapped(ctx.Err())
	}
	d.Close()
	return nil, errors.Join(errors.New("store: definitions could not be read"), err)
}

// Close stops following the bucket.
func (d *Definitions) Close() {
	d.cancel()
	<-d.done
}

// Get returns a definition and its revision.
func (d *Definitions) Get(uri string) (def api.Definition, rev uint64, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	k, ok := d.byURI[uri]
	if !ok || k.gone {
		return api.Definition{}, 0, false
	}
	return k.def, k.rev, true
}

// Len returns how many there are.
func (d *Definitions) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.byURI)
}

// All returns every definition, the newest first.
func (d *Definitions) All() []api.Definition {
	d.mu.RLock()
	out := make([]api.Definition, 0, len(d.byURI))
	for _, k := range d.byURI {
		if !k.gone {
			out = append(out, k.def)
		}
	}
	d.mu.RUnlock()
	slices.SortFunc(out, func(a, b api.Definition) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.URI, b.URI))
	})
	return out
}

// Put writes a definition over one of revision rev, or a new one when rev is
// zero, and returns the new revision when it is on disk.
func (d *Definitions) Put(ctx context.Context, def api.Definition, rev uint64) (uint64, error) {
	if rev == 0 {
		if err := d.makePlace(ctx); err != nil {
			return 0, err
		}
	}
	b, err := json.Marshal(def)
	if err != nil {
		return 0, err
	}
	was := rev
	if rev, err = d.b.Put(ctx, keyOf(def.URI), b, rev); err != nil {
		if errors.Is(err, ErrConflict) {
			d.refresh(ctx, def.URI, was)
		}
		return 0, err
	}
	d.apply(def.URI, kept{def: def, rev: rev}) // so that the writer reads what it wrote
	return rev, nil
}

// refresh reads a definition past what is held in memory: after a conflict the
// writer starts again from it, and the news may not have reached us yet.
func (d *Definitions) refresh(ctx context.Context, uri string, was uint64) {
	e, err := d.b.Get(ctx, keyOf(uri))
	switch {
	case err == nil:
		d.follow(e)
	case errors.Is(err, ErrNotFound):
		d.forget(uri, was)
	}
}

// Delete removes a definition of revision rev.
func (d *Definitions) Delete(ctx context.Context, uri string, rev uint64) error {
	if err := d.b.Delete(ctx, keyOf(uri), rev); err != nil {
		if errors.Is(err, ErrConflict) {
			d.refresh(ctx, uri, rev)
		}
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if k, ok := d.byURI[uri]; ok && k.rev <= rev {
		d.byURI[uri] = kept{rev: rev, gone: true} // an older put may still be on its way to us
	}
	return nil
}

// makePlace evicts the conference that ended longest ago when all places are taken.
func (d *Definitions) makePlace(ctx context.Context) error {
	if d.Len() < d.limit {
		return nil
	}
	var oldest api.Definition
	var rev uint64
	d.mu.RLock()
	for _, k := range d.byURI {
		if !k.gone && k.def.State == api.StateEnded && (rev == 0 || k.def.EndedAt < oldest.EndedAt) {
			oldest, rev = k.def, k.rev
		}
	}
	d.mu.RUnlock()
	if rev == 0 {
		return ErrFull
	}
	if err := d.Delete(ctx, oldest.URI, rev); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// follow applies what the bucket says, by whomever it was written.
func (d *Definitions) follow(e Entry) {
	uri := uriOf(e.Key)
	if e.Deleted {
		d.forget(uri, e.Rev)
		return
	}
	var def api.Definition
	if json.Unmarshal(e.Value, &def) != nil || def.URI != uri {
		return // not ours: a later version's record stays where it is
	}
	d.apply(uri, kept{def: def, rev: e.Rev})
}

func (d *Definitions) apply(uri string, k kept) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byURI[uri].rev < k.rev {
		d.byURI[uri] = k
	}
}

func (d *Definitions) forget(uri string, rev uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k, ok := d.byURI[uri]; ok && k.rev <= rev {
		delete(d.byURI, uri)
	}
}

// Dots separate tokens of a key and may not stand alone or at the ends.
func keyOf(uri string) string { return strings.ReplaceAll(uri, ".", "=") }
func uriOf(key string) string { return strings.ReplaceAll(key, "=", ".") }
