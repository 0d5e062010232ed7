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
	l.byWeight.Store(sampler(ready, weights))
	l.arrange(old, len(ready))
	var gone []*Backend
	j := i
	for i < len(old) || j < len(ready) {
		switch {
		case i < len(old) && j < len(ready) && old[i] == ready[j]:
			if was[i] != weights[j] {
				weigh(ready[j], weights[j])
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
	// Last: a pick that comes between two of these steps must find somebody.
	for _, b := range gone {
		leave(b)
	}
}

// arrange spreads those who stand there over all ladders if n are a crowd for
// each, and brings them back together when they are few.
func (l *leastConn) arrange(standing []*Backend, n int) {
	many := crowd * len(l.ladders)
	if len(l.ladders) == 1 || l.spread == (n >= many) || l.spread && n >= many/2 {
		return
	}
	l.spread = !l.spread
	l.lock()
	defer l.unlock()
	for _, b := range standing {
		from, r := b.ladder.Load(), b.footing.rung
		from.drop(b)
		from.sweep(r)
		from.size--
		d := l.roomiest()
		d.size++
		b.ladder.Store(d)
		d.stand(b, b.footing.load(), &d.floor)
	}
}

// roomiest is the ladder with the fewest backends of those in use.
func (l *leastConn) roomiest() *ladder {
	d := &l.ladders[0]
	if l.spread {
		for i := range l.ladders {
			if l.ladders[i].size < d.size {
				d = &l.ladders[i]
			}
		}
	}
	return d
}

// join puts b on a ladder.
func (l *leastConn) join(b *Backend, weight float64) {
	d := l.roomiest()
	d.size++
	d.mu.Lock()
	b.footing = footing{weight: weight}
	// First: who counts past the ladder from now on says so.
	b.ladder.Store(d)
	b.absorb()
	d.stand(b, b.footing.load(), &d.floor)
	d.unlock()
}

// leave takes b off its ladder and its counts with it.
func leave(b *Backend) {
	d := b.hold()
	d.size--
	n := b.footing
	d.drop(b)
	d.sweep(n.rung)
	b.started.Add(n.leases)
	b.ended.Add(n.leases - int64(n.inFlight))
	b.footing = footing{}
	b.ladder.Store(nil)
	d.unlock()
}

// weigh gives b another weight.
func weigh(b *Backend, weight float64) {
	d := b.hold()
	b.footing.weight = weight
	d.move(b)
	d.unlock()
}
