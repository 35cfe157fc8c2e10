//go:build !race

package videochild

const raceBuild = false
