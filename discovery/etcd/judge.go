package etcd

// An action is what to do about a key.
type action int

const (
	leaveAlone action = iota // it is as wanted
	write                    // put the value, under our lease
	erase                    // delete it: it is ours
	yield                    // it is another's: wait until it is free
)

// judge compares the key that was found with the value that it is to have (empty: there
// is to be no key). Lease is the one that we keep alive now, ours are all we ever had.
//
// The holder of a key is the holder of the lease it is under. The last writer stands: a
// newcomer writes over whatever it finds, which is most often what its own former process
// left behind; from then on a key under another's lease is left to that one. A key under
// no lease at all was written by hand and has no holder.
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
