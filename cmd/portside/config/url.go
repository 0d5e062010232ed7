package config

import (
	"fmt"
	"net/url"
	"strings"
)

// etcdURL is a member of etcd. As etcdctl does, it takes host:port for what tls
// then decides about.
var etcdURL = scalarForm(parseEtcdURL, phrase, schema{"type": "string"})

func parseEtcdURL(text string) (string, string, string) {
	const hint = "write http://127.0.0.1:2379, and etcd.username and etcd.password apart"
	if !strings.ContainsAny(text, "/@") {
		address, problem, _ := parseDial(text, 0)
		return address, problem, hint
	}
	u, problem := parseURL(text)
	switch {
	case problem != "":
		return "", problem, hint
	case u.Port() == "":
		return "", "has no port", fmt.Sprintf("write %s://%s:2379", u.Scheme, u.Host)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return "", "has a path", fmt.Sprintf("write %s://%s; the prefix of keys is etcd.prefix", u.Scheme, u.Host)
	}
	u.Path = ""
	return u.String(), "", ""
}

// parseURL reads an http or https URL. What it says never shows the text, which
// may hold a password.
func parseURL(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "is no URL"
	case u.User != nil:
		return nil, "a URL with a user or password in it"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Sprintf("a URL that is neither http nor https but %s", shown(u.Scheme))
	}
	if _, _, problem := hostPort(u.Host); problem != "" || u.Hostname() == "" {
		return nil, "a URL without a valid host"
	}
	u.Fragment, u.RawFragment = "", ""
	return u, ""
}
