package picture

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

//go:noescape
func boxAVX2(dst, a, b *byte, n int)

// boxRow averages as many outputs of a row as it is good at and returns how many.
func boxRow(o, a, b []byte) int {
	n := len(o) &^ 31
	if n == 0 || !hasAVX2 {
		return 0
	}
	_, _ = a[2*n-1], b[2*n-1]
	boxAVX2(&o[0], &a[0], &b[0], n)
	return n
}
