//go:build !linux

package relay

const spliceAfter = 0

// splice exists on Linux alone.
type splice struct {
	after, held int
	onWritable  func(fd uintptr) (done bool)
}

func (*splice) copied(n int, whole bool) (switchOver bool) { return false }
func (*splice) drop()                                      {}

func (*direction) spliceCallback() func(fd uintptr) (done bool) { return nil }
