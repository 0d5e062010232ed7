package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/etcd"
	"portside/discovery/record"
)

// decoderFor returns the decoder of a service's records.
func decoderFor(cfg config.Service) (*record.Decoder, error) {
	return record.New(cfg.Prefix, record.Options{Format: record.Format(cfg.Format), Protocol: string(cfg.Protocol), DefaultPort: cfg.DefaultPort})
}

// doubtsSaid is for how many kinds of doubtful records of a service there is a warning.
const doubtsSaid = 5

// decode makes an [etcd.Decode] of d. It logs doubts about records, one of each kind.
func decode(d *record.Decoder, log *slog.Logger) etcd.Decode {
	var mu sync.Mutex
	said := map[string]bool{}
	news := func(r record.Reading) bool {
		kind := r.Warning
		for _, e := range r.Endpoints {
			kind = strings.ReplaceAll(kind, e.Address, "")
		}
		mu.Lock()
		defer mu.Unlock()
		if said[kind] || len(said) == doubtsSaid {
			return false
		}
		said[kind] = true
		return true
	}
	return func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		r, err := d.Decode(key, value)
		if r.Warning != "" {
			// One of a kind is enough: resolve shows the doubt of each.
			level := slog.LevelDebug
			if news(r) {
				level = slog.LevelWarn
			}
			log.Log(context.Background(), level, "record read with a doubt", "key", key, "format", r.Format, "doubt", r.Warning)
		}
		return r.Endpoints, r.Reason, err
	}
}
