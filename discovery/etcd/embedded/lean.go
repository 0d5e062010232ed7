//go:build lean

package embedded

import "errors"

// ErrLean is what Start returns in a build with the tag lean.
var ErrLean = errors.New("this portside was built without the embedded etcd (tag lean); " +
	"build it without `-tags lean`, or name a running etcd with --etcd")

// A Server cannot exist in a lean build.
type Server struct{}

// Start returns [ErrLean].
func Start(Options) (*Server, error) { return nil, ErrLean }

// Endpoint returns nothing.
func (*Server) Endpoint() string { return "" }

// Close does nothing.
func (*Server) Close() error { return nil }

// Abandon does nothing.
func (*Server) Abandon() error { return nil }
