package discovery

import "time"

// Known is what is known of a name, for who has to begin without its registry.
type Known struct {
	// At is when the registry had Endpoints for sure. Zero: it has them now.
	At        time.Time
	Endpoints []Endpoint
	// Protocol is what they were read for. Empty: nobody knows.
	Protocol string
	// Lost are gone from the registry and serve all the same.
	Lost []Lost
}

// Lost is an endpoint that the registry has had no more since At.
type Lost struct {
	Endpoint
	At time.Time
}
