package pool

import "math/bits"

// rung is the set of nodes that are equally loaded: one cache line.
type rung struct {
	load         float64
	count        uint32
	last         uint32  // the leaf that stays when nobody does
	leaves       []*leaf // of 512 nodes each; nil: none of them stands here
	above, below *rung
	_            [8]byte
}

// leaf is a bit for each of 512 nodes: one cache line.
type leaf [8]uint64

func (r *rung) has(i uint32) bool {
	k := int(i >> 9)
	return k < len(r.leaves) && r.leaves[k] != nil && r.leaves[k][i>>6&7]>>(i&63)&1 > 0
}

// from is the first node of r that is not before i, or if there is none the first.
// There must be one.
func (r *rung) from(i uint32) uint32 {
	k := int(i >> 9)
	if k < len(r.leaves) && r.leaves[k] != nil {
		word := i >> 6 & 7
		mask := ^uint64(0) << (i & 63)
		for ; word < 8; word++ {
			if w := r.leaves[k][word] & mask; w > 0 {
				return uint32(k)<<9 | word<<6 | uint32(bits.TrailingZeros64(w))
			}
			mask = ^uint64(0)
		}
	}
	for k++; ; k++ {
		if k >= len(r.leaves) {
			k = 0
		}
		if r.leaves[k] == nil {
			continue
		}
		for word, w := range r.leaves[k] {
			if w > 0 {
				return uint32(k)<<9 | uint32(word)<<6 | uint32(bits.TrailingZeros64(w))
			}
		}
	}
}

// nth is the node that has n before it.
func (r *rung) nth(n uint32) uint32 {
	for k, lf := range r.leaves {
		if lf == nil {
			continue
		}
		for word, w := range lf {
			here := uint32(bits.OnesCount64(w))
			if n >= here {
				n -= here
				continue
			}
			for ; n > 0; n-- {
				w &= w - 1
			}
			return uint32(k)<<9 | uint32(word)<<6 | uint32(bits.TrailingZeros64(w))
		}
	}
	panic("pool: a rung has fewer nodes than it counts")
}

// add puts node i on r.
func (l *leastConn) add(r *rung, i uint32) {
	k := i >> 9
	if k >= uint32(len(r.leaves)) || r.leaves[k] == nil {
		l.unfold(r, k)
	}
	r.leaves[k][i>>6&7] |= 1 << (i & 63)
	r.count++
	l.nodes[i].rung = r
}

// unfold gives r its k-th leaf: the one that it kept, or a spare one.
func (l *leastConn) unfold(r *rung, k uint32) {
	for k >= uint32(len(r.leaves)) {
		r.leaves = append(r.leaves, nil)
	}
	if r.count == 0 && r.leaves[r.last] != nil {
		r.leaves[k], r.leaves[r.last] = r.leaves[r.last], nil
		return
	}
	r.leaves[k] = l.leaf()
}

// drop takes node i off its rung. An empty leaf goes, unless it is the last.
func (l *leastConn) drop(i uint32) {
	r, k := l.nodes[i].rung, i>>9
	lf := r.leaves[k]
	lf[i>>6&7] &^= 1 << (i & 63)
	if r.count--; r.count == 0 {
		r.last = k
		return
	}
	if lf[0]|lf[1]|lf[2]|lf[3]|lf[4]|lf[5]|lf[6]|lf[7] == 0 {
		l.leaves = append(l.leaves, lf)
		r.leaves[k] = nil
	}
}

// leaf is an empty one.
func (l *leastConn) leaf() *leaf {
	n := len(l.leaves)
	if n == 0 {
		return &leaf{}
	}
	lf := l.leaves[n-1]
	l.leaves = l.leaves[:n-1]
	return lf
}
