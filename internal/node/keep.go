package node

import (
	"context"
	"path/filepath"

	"parley/internal/store"
)

// storeDir is where the store lives below the data directory.
const storeDir = "store"

// openStore opens what outlives a restart.
func (n *Node) openStore() error {
	s, err := store.Open(store.Config{Dir: filepath.Join(n.cfg.Data, storeDir), Log: n.log})
	if err != nil {
		return err
	}
	if n.defs, err = s.Definitions(context.Background()); err != nil {
		s.Close()
		return err
	}
	n.store = s
	return nil
}

func (n *Node) closeStore() {
	n.defs.Close()
	n.store.Close()
}
