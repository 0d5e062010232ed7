package config

import (
	"strings"
	"time"
)

var registrationSection = section(
	at("address", "HOST:PORT that clients dial.", dial, func(r *Registration) *string { return &r.Address }),
	at("key", "The whole key; default <etcd.prefix><name>/<address>.", etcdKey, func(r *Registration) *string { return &r.Key }),
	at("format", "How the record is written.", writtenFormat, func(r *Registration) *string { return &r.Format }),
	at("ttl", "Of the lease, in whole seconds.", ttl, func(r *Registration) *time.Duration { return &r.TTL }),
	at("leave_delay", "Between leaving etcd and stopping.", duration(0), func(r *Registration) *time.Duration { return &r.LeaveDelay }),
	at("stop_timeout", "The most the command may take to exit once told to.", positive, func(r *Registration) *time.Duration { return &r.StopTimeout }),
	at("weight", "Share of work relative to an ordinary peer.", weight, func(r *Registration) *float64 { return &r.Weight }),
	at("zone", "Where it runs.", text, func(r *Registration) *string { return &r.Zone }),
	at("version", "Of what it runs.", text, func(r *Registration) *string { return &r.Version }),
	at("service", "The name in its record, where that is not the registration's (kratos).", text, func(r *Registration) *string { return &r.Service }).when(Registration.kratos),
	at("protocol", "What it speaks, as its record says: http, grpc (kratos).", text, func(r *Registration) *string { return &r.Protocol }).when(Registration.kratos),
	at("metadata", "What else the record says, where its format can.", pairs, func(r *Registration) *map[string]string { return &r.Metadata }),
	at("check", "In etcd only while this passes; off: always.", optional(registerCheckSection, newRegisterCheck), func(r *Registration) **Check { return &r.Check }),
)

func (r Registration) kratos() bool { return r.Format == "kratos" }

func newRegistration(name string) Registration {
	check := newRegisterCheck()
	return Registration{
		Name: name, Format: "plain", TTL: 10 * time.Second, LeaveDelay: 2 * time.Second,
		StopTimeout: 30 * time.Second, Weight: 1, Check: &check,
	}
}

// ttl is a lease's: etcd counts it in whole seconds.
var ttl = duration(time.Second)

var etcdKey = scalarForm(func(text string) (string, string, string) {
	if strings.HasSuffix(text, "/") {
		return "", "ends in a slash, which is a prefix", "write the whole key, or leave it out"
	}
	return parseText(text)
}, phrase, schema{"type": "string"})
