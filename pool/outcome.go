package pool

// Outcome is what one attempt taught about a backend.
type Outcome uint8

// The outcomes. Only what a backend is to blame for is a failure: a client that
// left, or an idle connection that had gone stale, says nothing about it.
const (
	Unknown     Outcome = iota // nothing was learned
	Success                    // it answered
	Refused                    // it refused the connection, or could not be reached
	Timeout                    // it did not accept the connection in time
	Reset                      // it reset a fresh connection before its first byte
	Closed                     // it closed a fresh connection before its first byte
	Malformed                  // what it answered is not the protocol
	CutShort                   // it ended in the middle of its response
	NoResponse                 // it took the request and did not answer in time
	Gateway                    // it answered 502, 503 or 504
	ServerError                // it answered another 5xx
)

var outcomeText = [...]string{
	Unknown:     "nothing learned",
	Success:     "success",
	Refused:     "connection refused",
	Timeout:     "connect timed out",
	Reset:       "connection reset before the first byte",
	Closed:      "connection closed before the first byte",
	Malformed:   "malformed response",
	CutShort:    "response cut short",
	NoResponse:  "response timed out",
	Gateway:     "gateway error (502-504)",
	ServerError: "server error (5xx)",
}

// String says the outcome in plain words.
func (o Outcome) String() string {
	if int(o) < len(outcomeText) {
		return outcomeText[o]
	}
	return "unknown outcome"
}

var outcomeLabel = [...]string{
	Unknown:     "unknown",
	Success:     "success",
	Refused:     "refused",
	Timeout:     "connect_timeout",
	Reset:       "reset",
	Closed:      "early_close",
	Malformed:   "malformed",
	CutShort:    "cut_short",
	NoResponse:  "response_timeout",
	Gateway:     "gateway",
	ServerError: "server_error",
}

// label is the outcome as a metric's label has it.
func (o Outcome) label() string {
	if int(o) < len(outcomeLabel) {
		return outcomeLabel[o]
	}
	return "unknown"
}

// failure reports whether o counts against a backend under on.
func (o Outcome) failure(on EjectOn) bool {
	switch o {
	case Refused, Timeout, Reset, Closed:
		return true
	case Malformed, CutShort, NoResponse, Gateway:
		return on != OnConnect
	case ServerError:
		return on == On5xx
	}
	return false
}

// answer reports whether o is an answer, if a bad one.
func (o Outcome) answer() bool { return o == Gateway || o == ServerError }

// unreachable reports whether o means that nobody is there.
func (o Outcome) unreachable() bool {
	return o == Refused || o == Timeout
}

// trouble is what o sets a backend aside for.
func (o Outcome) trouble() trouble {
	if o.unreachable() {
		return cannotConnect
	}
	return badAnswers
}
