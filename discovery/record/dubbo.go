package record

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// dubboOrdinary is the weight Dubbo assumes, in Go and in Java.
const dubboOrdinary = 100

// readDubbo reads both of Dubbo's ways: by interface, where the key ends in an
// escaped URL and the value is nothing (Go) or a lease id (Java), and by
// application, where the value is JSON.
func readDubbo(in entry) (Reading, error) {
	switch {
	case isDubboURL(in.leaf):
		return in.dubboInterface()
	case strings.HasPrefix(in.text, "{"):
		return in.dubboApplication()
	case in.text == "" || isNumber(strings.TrimPrefix(in.text, "-")):
		// Go leaves an empty value, Java a hash code, on each directory.
		return absent("placeholder: the key ends in no URL")
	}
	return Reading{}, fmt.Errorf("neither a URL in the key nor JSON in the value %q", short(in.text))
}

func isDubboURL(leaf string) bool {
	return strings.Contains(leaf, "%3A%2F%2F") || strings.Contains(leaf, "%3a%2f%2f")
}

func (in entry) dubboInterface() (Reading, error) {
	text, err := url.QueryUnescape(in.leaf)
	if err != nil {
		return Reading{}, fmt.Errorf("key %q: %w", short(in.leaf), err)
	}
	_, rawQuery, _ := strings.Cut(text, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Reading{}, fmt.Errorf("key %q: %w", short(in.leaf), err)
	}
	more := flattenQuery(query)
	scheme, _, _ := strings.Cut(text, "://")
	switch {
	case isDubboRule(scheme) || more["side"] == "consumer":
		return absent("a %s URL, not a provider", short(scheme))
	case isTrue(more["disabled"]) || isFalse(more["enabled"]):
		return absent("disabled in its URL")
	case !in.want.suits(scheme):
		return absent("protocol is %q", short(scheme))
	}
	return in.one(said{address: text, ordinary: dubboOrdinary, more: more})
}

// isDubboRule tells the URLs that consumers and consoles leave beside providers.
func isDubboRule(scheme string) bool {
	switch scheme {
	case "consumer", "override", "route", "condition", "script", "tag", "absent", "empty", "admin":
		return true
	}
	return false
}

func (in entry) dubboApplication() (Reading, error) {
	var v struct {
		Host, Port, Weight       loose
		Enable, Enabled, Healthy loose
		Tag, GroupName           loose
		Metadata                 json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	switch {
	case isFalse(string(v.Enable)), isFalse(string(v.Enabled)):
		return absent("disabled: enabled is false")
	case isFalse(string(v.Healthy)):
		return absent("unhealthy: healthy is false")
	}
	more := metadata(v.Metadata)
	port, scheme, ok := in.dubboPort(take(more, "dubbo.endpoints"), string(v.Port))
	if !ok {
		return absent("no %s endpoint", in.want.only)
	}
	more = with(more, "tag", string(v.Tag))
	more = with(more, "group", string(v.GroupName))
	return in.one(said{
		address: string(v.Host), port: port, scheme: scheme,
		weight: string(v.Weight), ordinary: dubboOrdinary, more: more,
	})
}

// dubboPort takes the port for the wanted protocol among those an application
// opens, [{"port":20000,"protocol":"tri"}]; the record's own when none suits.
func (in entry) dubboPort(endpoints, own string) (port, scheme string, ok bool) {
	var open []struct{ Port, Protocol loose }
	if endpoints != "" && json.Unmarshal([]byte(endpoints), &open) != nil {
		open = nil // a consumer of this list would ignore it too
	}
	wanted := in.want.order()
	if in.want.only != "" {
		wanted = []string{in.want.only, in.want.only + "s"}
	}
	for _, scheme := range wanted {
		for _, e := range open {
			if string(e.Protocol) == scheme {
				return string(e.Port), scheme, true
			}
		}
	}
	for _, e := range open {
		if string(e.Port) == own {
			scheme = string(e.Protocol)
		}
	}
	return own, scheme, in.want.only == ""
}
