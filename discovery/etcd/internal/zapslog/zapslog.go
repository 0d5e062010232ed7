// Package zapslog hands zap's log lines, which etcd writes, to slog:
//
//	logger := zapslog.New(log, func(zapcore.Level) slog.Level { return slog.LevelDebug })
package zapslog

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New is a zap logger that writes to log, each line at the level that level
// says. A nil log writes nothing.
func New(log *slog.Logger, level func(zapcore.Level) slog.Level) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return zap.New(core{log, level})
}

type core struct {
	log   *slog.Logger
	level func(zapcore.Level) slog.Level
}

func (c core) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), c.level(l))
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{slog.New(c.log.Handler().WithAttrs(attrs(fields))), c.level}
}

func (c core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) {
		return ce
	}
	return ce.AddCore(e, c)
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.LogAttrs(context.Background(), c.level(e.Level), e.Message, attrs(fields)...)
	return nil
}

func (core) Sync() error { return nil }

// attrs keeps the order of fields; a field that encodes to several values
// becomes several attributes.
func attrs(fields []zapcore.Field) []slog.Attr {
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		for k, v := range enc.Fields {
			out = append(out, slog.Any(k, v))
		}
	}
	return out
}
