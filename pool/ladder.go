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
	l.mu.Lock()
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
		l.nodes, l.owner = append(l.nodes, node{}), append(l.owner, nil)
	}
	l.nodes[i], l.owner[i] = node{weight: weight}, b
	// First: who counts past the ladder from now on says so.
	b.place.Store(i + 1)
	l.absorb(b, i)
	l.stand(i, l.nodes[i].load(), &l.floor)
}

// leave takes b off the ladder and its counts with it.
func (l *leastConn) leave(b *Backend) {
	i := b.place.Load() - 1
	n := &l.nodes[i]
	l.drop(i)
	l.sweep(n.rung)
	b.started.Add(n.leases)
	b.ended.Add(n.leases - int64(n.inFlight))
	b.place.Store(0)
	*n, l.owner[i] = node{}, nil
	l.free = append(l.free, i)
}

// weigh gives node i another weight.
func (l *leastConn) weigh(i uint32, weight float64) {
	l.nodes[i].weight = weight
	l.move(i)
}

// move puts node i where its load belongs, looking from where it stood.
func (l *leastConn) move(i uint32) {
	n := &l.nodes[i]
	from, load := n.rung, n.load()
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
	n := &l.nodes[i]
	n.rung, n.at = at, uint32(len(at.members))
	at.members = append(at.members, i)
}

// drop takes node i off its rung; the last member fills its place.
func (l *leastConn) drop(i uint32) {
	n := &l.nodes[i]
	r := n.rung
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[n.at] = moved
	l.nodes[moved].at = n.at
	r.members = r.members[:last]
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

// sweep removes r if nobody stands on it.
func (l *leastConn) sweep(r *rung) {
	if len(r.members) > 0 {
		return
	}
	r.below.above = r.above
	if r.above != nil {
		r.above.below = r.below
	}
	r.below, r.above = nil, l.spare
	l.spare = r
}
