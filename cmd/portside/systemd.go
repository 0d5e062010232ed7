package main

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellSystemd tells the service manager, if one listens, what state we are in.
func tellSystemd(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Debug("tell systemd", "state", state, "error", err)
	}
}
