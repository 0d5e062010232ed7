package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Events keeps the last events, and tells new ones to those who listen. The zero value is
// ready to use. It is safe for concurrent use.
type Events struct {
	mu        sync.Mutex
	past      []Event
	count     map[string]int // of past, by service
	listeners map[chan Event]struct{}
}

const (
	// remembered is how many past events a new listener is told first.
	remembered = 256
	// behind is how many events a listener may be behind before it is dropped: a stalled
	// browser must not take up memory, nor hold anybody up.
	behind = 1024
)

// Tell records e. It does not block.
func (es *Events) Tell(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if len(es.past) == remembered {
		i := es.most()
		es.forget(es.past[i].Service)
		es.past = slices.Delete(es.past, i, i+1)
	}
	if es.count == nil {
		es.count = map[string]int{}
	}
	es.count[e.Service]++
	es.past = append(es.past, e)
	for l := range es.listeners {
		select {
		case l <- e:
		default:
			delete(es.listeners, l)
			close(l)
		}
	}
}

// most is the index of the oldest event of the services that have the most: one with many
// events must not displace those of the others. The caller holds es.mu.
func (es *Events) most() int {
	most := 0
	for _, n := range es.count {
		most = max(most, n)
	}
	return slices.IndexFunc(es.past, func(e Event) bool { return es.count[e.Service] == most })
}

// forget takes an event of service out of the count. The caller holds es.mu.
func (es *Events) forget(service string) {
	if es.count[service]--; es.count[service] == 0 {
		delete(es.count, service)
	}
}

// listen returns what happened lately and a channel of what will, which is
// closed when its reader falls behind.
func (es *Events) listen() ([]Event, chan Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.listeners == nil {
		es.listeners = map[chan Event]struct{}{}
	}
	l := make(chan Event, behind)
	es.listeners[l] = struct{}{}
	return slices.Clone(es.past), l
}

func (es *Events) leave(l chan Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	delete(es.listeners, l)
}

// serve streams events as server-sent events until the client leaves or
// stop, the server's end, is closed.
func (es *Events) serve(w http.ResponseWriter, r *http.Request, stop <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return // its answer ends here, RFC 9110 section 9.3.2; the connection is for the next one
	}
	out := http.NewResponseController(w)
	past, l := es.listen()
	defer es.leave(l)
	for _, e := range past {
		if send(w, out, e) != nil {
			return
		}
	}
	if _, err := fmt.Fprint(w, ": the past ends here\n\n"); err != nil {
		return
	}
	_ = out.Flush()
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-stop:
			return
		case e, ok := <-l:
			if !ok {
				return
			}
			err = send(w, out, e)
		case <-beat.C:
			_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
			_, err = fmt.Fprint(w, ":\n\n")
		}
		if err != nil || out.Flush() != nil {
			return
		}
	}
}

// writeTimeout bounds a single write: the stream as a whole has no end.
const writeTimeout = 10 * time.Second

func send(w http.ResponseWriter, out *http.ResponseController, e Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Kind, data)
	return err
}
