//go:build !unix

package store

import (
	"fmt"
	"os"
)

// lockDir only marks the directory where there are no advisory locks.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return f, nil
}
