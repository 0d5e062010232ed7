package config

import "portside/proxy"

var forwarded = enum("forwarded", []proxy.Forwarded{proxy.ForwardedOff, proxy.ForwardedAppend, proxy.ForwardedReplace}, nil)

var limitsSection = section(
	at("head", "Bytes of a whole request head.", size(1<<10, 64<<10), func(l *Limits) *int64 { return &l.Head }),
	at("fields", "Header fields of a request.", count(1, maxFields), func(l *Limits) *int { return &l.Fields }),
)

// maxFields is what a parsed head has room for (proxy/http1).
const maxFields = 128

var accessLogSection = section(
	at("file", "Where the lines go; stdout is the standard output.", logFile, func(a *AccessLog) *string { return &a.File }),
	at("format", "How a line looks.", logFormat, func(a *AccessLog) *LogFormat { return &a.Format }),
	at("sample", "Fraction of the requests that are logged.", ratio, func(a *AccessLog) *float64 { return &a.Sample }),
	at("errors_only", "Only answers of 500 and above.", boolean, func(a *AccessLog) *bool { return &a.ErrorsOnly }),
)

var logFormat = enum("format", []LogFormat{LogJSON, LogCommon}, nil)

const stdout = "stdout"

// logFile is a path, or the word stdout.
var logFile = form[string]{
	read: func(r *reader, p place, v *string) {
		switch {
		case r.says(p, stdout):
			*v = stdout
		case r.says(p, ""):
			r.wrong(p, "is empty", "write a path or stdout; `access_log: off` turns the log off")
		default:
			path.read(r, p, v)
		}
	},
	write:    phrase,
	describe: path.describe,
}

// accessLog is a section, or the word off, or the word stdout for all of its defaults.
var accessLog = form[*AccessLog]{
	read: func(r *reader, p place, v **AccessLog) {
		if r.says(p, stdout) {
			a := newAccessLog()
			*v = &a
			return
		}
		offOrAccessLog.read(r, p, v)
	},
	write: offOrAccessLog.write,
	describe: func(w vocabulary, v *AccessLog) schema {
		return anyOrVariable(schema{"const": stdout}, offOrAccessLog.describe(w, v))
	},
}

var offOrAccessLog = optional(accessLogSection, newAccessLog)

func newAccessLog() AccessLog { return AccessLog{File: stdout, Format: LogJSON, Sample: 1} }

func newHTTP() HTTP {
	return HTTP{
		Forwarded: proxy.ForwardedAppend,
		MaxIdle:   128, // as proxy has it
		Limits:    Limits{Head: 64 << 10, Fields: maxFields},
	}
}
