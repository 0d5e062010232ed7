package record

import "encoding/json"

// readPatroni reads a cluster's members: {"conn_url","state","role","tags"}.
// A role is what the member last wrote; for the moment of a failover two may
// call themselves primary.
func readPatroni(in entry) (Reading, error) {
	var v struct {
		ConnURL              loose `json:"conn_url"`
		State, Role, Version loose
		Tags                 json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	role, more := patroniRole(string(v.Role)), metadata(v.Tags)
	switch {
	case v.State != "running" && v.State != "streaming":
		return absent("state is %q", short(string(v.State)))
	case !in.want.suits(role):
		return absent("role is %q", short(role))
	case isTrue(take(more, "noloadbalance")) && in.want.only != "primary":
		return absent("tagged noloadbalance")
	}
	return in.one(said{address: string(v.ConnURL), version: string(v.Version), more: with(more, "role", role)})
}

// patroniRole uses the word of Patroni 4 for what was master before.
func patroniRole(role string) string {
	if role == "master" {
		return "primary"
	}
	return role
}
