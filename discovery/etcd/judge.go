package etcd

// An action is what to do about a key.
type action int

const (
	leaveAlone action = iota // it is as it shall be
	write                    // put the value, under our lease
	erase                    // delete it: it is ours
	yield                    // it is another's: wait until it is free
)

// judge compares the key that was found with the value it shall have (empty:
// no key). Lease is the one we keep alive now, ours are all we ever had.
//
// Who holds a key is who holds the lease it hangs on. The last writer stands:
// a newcomer writes over whatever it finds, which is most often what its own
// former self left behind; from then on a key under another's lease is yielded
// to. A key under no lease at all was written by hand and has no holder.
func judge(f found, value string, lease int64, ours map[int64]bool, newcomer bool) action {
	exists, mine := f.modified != 0, ours[f.lease]
	switch {
	case value == "" && exists && mine:
		return erase
	case value == "":
		return leaveAlone
	case !exists:
		return write
	case mine && f.lease == lease && f.value == value:
		return leaveAlone
	case mine, f.lease == 0, newcomer:
		return write
	}
	return yield
}
