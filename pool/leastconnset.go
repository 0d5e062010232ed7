package pool

// set makes ready, which have these weights and are in order of address, the backends to
// choose among. It touches only those that are new, gone, or of another weight.
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
				setLadderWeight(ready[j], weights[j])
			}
			i, j = i+1, j+1
		case j == len(ready) || i < len(old) && old[i].address <= ready[j].address:
			gone = append(gone, old[i])
			i++
		default:
			l.add(ready[j], weights[j])
			j++
		}
	}
	// Last: a pick that comes between two of these steps must find a backend.
	for _, b := range gone {
		removeFromLadder(b)
	}
}

// arrange spreads the standing over all ladders if n backends are a crowd for each, and
// brings them back to the first when n is far below that.
func (l *leastConn) arrange(standing []*Backend, n int) {
	many := crowd * len(l.ladders)
	if len(l.ladders) == 1 || l.spread == (n >= many) || l.spread && n >= many/2 {
		return
	}
	l.spread = !l.spread
	l.lock()
	defer l.unlock()
	for _, b := range standing {
		from, r := b.ladder.Load(), b.place.rung
		from.takeFromRung(b)
		from.removeIfEmpty(r)
		from.size--
		d := l.roomiest()
		d.size++
		b.ladder.Store(d)
		d.insertAt(b, b.place.load(), &d.floor)
	}
}

// roomiest is the ladder in use that has the fewest backends.
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

// add puts b on a ladder, which counts its work from now on.
func (l *leastConn) add(b *Backend, weight float64) {
	d := l.roomiest()
	d.size++
	d.mu.Lock()
	b.place = ladderPlace{weight: weight}
	// First: whoever counts off the ladder from now on sees it, and reconciles (see
	// Backend.reconcileLadder).
	b.ladder.Store(d)
	b.absorbOffLadder()
	d.insertAt(b, b.place.load(), &d.floor)
	d.unlock()
}

// removeFromLadder takes b off its ladder, and what that has counted goes to b's own
// counters.
func removeFromLadder(b *Backend) {
	d := b.lockLadder()
	d.size--
	n := b.place
	d.takeFromRung(b)
	d.removeIfEmpty(n.rung)
	b.started.Add(n.leases)
	b.ended.Add(n.leases - int64(n.inFlight))
	b.place = ladderPlace{}
	b.ladder.Store(nil)
	d.unlock()
}

// setLadderWeight gives b, on its ladder, another weight.
func setLadderWeight(b *Backend, weight float64) {
	d := b.lockLadder()
	b.place.weight = weight
	d.move(b)
	d.unlock()
}
