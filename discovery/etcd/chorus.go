package etcd

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// A chorus is what a client's sources have to say of their state. What befalls one most
// often befalls all: a thousand are not a thousand lines.
type chorus struct {
	limit  *rate.Limiter
	unsaid atomic.Int64
}

func newChorus() chorus { return chorus{limit: rate.NewLimiter(20, 50)} }

// say logs to log, at debug level if the others have said much lately.
func (c *chorus) say(log *slog.Logger, level slog.Level, msg string, attrs ...any) {
	if !c.limit.Allow() {
		c.unsaid.Add(1)
		log.Log(context.Background(), slog.LevelDebug, msg, attrs...)
		return
	}
	if n := c.unsaid.Swap(0); n > 0 {
		attrs = append(attrs, "lines_not_shown", n)
	}
	if c.limit.Tokens() < 1 {
		attrs = append(attrs, "more", "not shown for now, see status")
	}
	log.Log(context.Background(), level, msg, attrs...)
}
