package pool

// set makes ready, of these weights and in order of address, the backends to
// choose among. It looks at those alone that are others than before.
func (l *leastConn) set(ready []*Backend, weights []float64) {
	old, was := l.ready, l.weights
	l.ready, l.weights = ready, weights
	i := 0
	for i < len(old) && i < len(ready) && old[i] == ready[i] && was[i] == weights[i] {
		i++
	}
	if i == len(old) && i == len(ready) {
		return
	}
	l.lock()
	defer l.mu.Unlock()
	var gone []*Backend
	j := i
	for i < len(old) || j < len(ready) {
		switch {
		case i < len(old) && j < len(ready) && old[i] == ready[j]:
			if was[i] != weights[j] {
				l.weigh(ready[j].place.Load()-1, weights[j])
			}
			i, j = i+1, j+1
		case j == len(ready) || i < len(old) && old[i].address <= ready[j].address:
			gone = append(gone, old[i])
			i++
		default:
			l.join(ready[j], weights[j])
			j++
		}
	}
	// Last: whoever picks meanwhile must find somebody.
	for _, b := range gone {
		l.leave(b)
	}
}

// join puts b on the ladder.
func (l *leastConn) join(b *Backend, weight float64) {
	i := uint32(len(l.nodes))
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.nodes, l.weight, l.owner = append(l.nodes, node{}), append(l.weight, 0), append(l.owner, nil)
	}
	l.weight[i], l.owner[i] = weight, b
	// First: who counts past the ladder from now on says so.
	b.place.Store(i + 1)
	l.absorb(b, i)
	l.stand(i, l.load(i), &l.floor)
}

// leave takes b off the ladder and its counts with it.
func (l *leastConn) leave(b *Backend) {
	i := b.place.Load() - 1
	n := &l.nodes[i]
	l.drop(i)
	l.sweep(n.rung)
	l.unload(i)
	b.ended.Add(-int64(n.inFlight))
	b.place.Store(0)
	*n, l.owner[i] = node{}, nil
	l.free = append(l.free, i)
}

// weigh gives node i another weight.
func (l *leastConn) weigh(i uint32, weight float64) {
	l.weight[i] = weight
	l.move(i)
}

// move puts node i where its load belongs, looking from where it stood.
func (l *leastConn) move(i uint32) {
	from, load := l.nodes[i].rung, l.load(i)
	l.drop(i)
	at := from
	for at.load > load {
		at = at.below
	}
	l.stand(i, load, at)
	l.sweep(from)
}

// stand puts node i on the rung of load, looking upward from at, which must not
// be above it.
func (l *leastConn) stand(i uint32, load float64, at *rung) {
	for at.above != nil && at.above.load <= load {
		at = at.above
	}
	if at.load != load {
		at = l.insert(at, load)
	}
	l.add(at, i)
}

// insert adds a rung for load just above at.
func (l *leastConn) insert(at *rung, load float64) *rung {
	r := l.spare
	if r == nil {
		r = &rung{}
	} else {
		l.spare = r.above
	}
	r.load, r.below, r.above = load, at, at.above
	if at.above != nil {
		at.above.below = r
	}
	at.above = r
	return r
}

// sweep removes r if nobody stands on it, but not before another is empty: often
// somebody comes back at once.
func (l *leastConn) sweep(r *rung) {
	if r.count > 0 || r == l.empty {
		return
	}
	if l.empty != nil && l.empty.count == 0 {
		l.remove(l.empty)
	}
	l.empty = r
}

func (l *leastConn) remove(r *rung) {
	r.below.above = r.above
	if r.above != nil {
		r.above.below = r.below
	}
	r.below, r.above = nil, l.spare
	l.spare = r
}
