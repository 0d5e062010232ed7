package http1

import (
	"testing"

	"portside/proxy/http1/http1test"
)

// A proxy parses twice a request for ever: nothing may be left to collect,
// whatever is sent.
func TestNothingIsAllocated(t *testing.T) {
	var (
		req     Request
		resp    Response
		chunks  ChunkReader
		out     = make([]byte, 0, 128<<10)
		trailer = make([]byte, 0, 16<<10)
		buf     = make([]byte, 128<<10)
	)
	for _, c := range http1test.Requests() {
		raw := []byte(c.Raw)
		if got := testing.AllocsPerRun(3, func() {
			n, err := req.Parse(raw, Limits{})
			if err == nil {
				out = AppendEnd(req.AppendHead(out[:0]))
				chunks.Reset(trailer)
				chunks.Decode(buf[:copy(buf, raw[n:])])
			}
			req.Reset()
		}); got != 0 {
			t.Errorf("%s: %v allocations", c.Name, got)
		}
	}
	for _, c := range http1test.Responses() {
		raw := []byte(c.Raw)
		if got := testing.AllocsPerRun(3, func() {
			if _, err := resp.Parse(raw, GET, Limits{}); err == nil {
				out = AppendEnd(resp.AppendHead(out[:0]))
			}
			resp.Reset()
		}); got != 0 {
			t.Errorf("response: %s: %v allocations", c.Name, got)
		}
	}
}
