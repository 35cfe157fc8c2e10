package main

import (
	"fmt"
	"runtime"
)

// versionCmd prints what runs here.
type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run() error {
	fmt.Printf("parley %s %s %s/%s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
