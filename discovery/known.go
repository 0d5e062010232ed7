package discovery

import "time"

// Known is what is known of a name: what a process needs to begin while its registry does
// not answer.
type Known struct {
	// At is the last moment at which the registry had Endpoints for sure. Zero: it has
	// them now.
	At        time.Time
	Endpoints []Endpoint
	// Protocol is the protocol that their records were read for. Empty: unknown.
	Protocol string
	// Lost are endpoints that are gone from the registry and still serve.
	Lost []Lost
}

// Lost is an endpoint that left the registry at At.
type Lost struct {
	Endpoint
	At time.Time
}
