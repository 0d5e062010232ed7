package etcd

import (
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// etcd's own words, "user name is empty", are of a request; who reads them has to know
// which key is missing. Of a user that is configured they say something else.
func TestAMissingUserIsToldHowToBeSaid(t *testing.T) {
	const hint = "set etcd.username"
	for user, want := range map[string]bool{"": true, "app": false} {
		said := plain(rpctypes.ErrGRPCUserEmpty, "s/", user, time.Now())
		if !strings.HasPrefix(said, "etcd refuses: user name is empty") || strings.Contains(said, hint) != want {
			t.Errorf("user %q: %q, want the hint: %t", user, said, want)
		}
	}
	if said := plain(rpctypes.ErrGRPCAuthFailed, "s/", "", time.Now()); strings.Contains(said, hint) {
		t.Errorf("a hint that is of no use: %q", said)
	}
}
