package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery/record"
)

// adminClient asks a running portside.
type adminClient struct{ base string }

// addAdminFlag gives cmd --admin and -c, which say where to ask.
func addAdminFlag(cmd *cobra.Command) {
	cmd.Flags().String("admin", "", "address of the running portside's admin API (default $PORTSIDE_ADMIN, the configuration's, 127.0.0.1:7070)")
	cmd.Flags().StringP("config", "c", "", "configuration file to read the address from")
	refuseSecondFile(cmd)
}

// refuseSecondFile has cmd refuse a second -c: the first would be ignored without a word.
func refuseSecondFile(cmd *cobra.Command) {
	f := cmd.Flags().Lookup("config")
	f.Value = &onlyOnce{Value: f.Value}
}

// onlyOnce is a flag's value that may be given only once.
type onlyOnce struct {
	pflag.Value
	given bool
}

func (o *onlyOnce) Set(text string) error {
	if o.given {
		return fmt.Errorf("only one file is read, and %s is named already", o.Value)
	}
	o.given = true
	return o.Value.Set(text)
}

// newAdminClient finds the address: flag, environment, file, default.
func newAdminClient(cmd *cobra.Command, std stdio) (adminClient, error) {
	o := configOptions(cmd, std, nil)
	if _, said := os.LookupEnv("PORTSIDE_ADMIN"); said || cmd.Flags().Changed("admin") {
		// No file is needed, so it does not matter what may be wrong with one.
		o.Path, o.Search = "", []string{}
		o.Env = func(name string) (string, bool) {
			if name != "PORTSIDE_ADMIN" {
				return "", false
			}
			return os.LookupEnv(name)
		}
	}
	address, err := config.Admin(o)
	if err != nil {
		return adminClient{}, err
	}
	if address == "" {
		return adminClient{}, usage("the admin API is turned off in the configuration; say --admin ADDR")
	}
	return adminClient{"http://" + dialable(address)}, nil
}

// newQuery is newAdminClient for a command that prints the answer, as JSON or as a table.
func newQuery(cmd *cobra.Command, std stdio) (c adminClient, asJSON bool, err error) {
	if asJSON, err = wantJSON(cmd); err != nil {
		return c, false, err
	}
	c, err = newAdminClient(cmd, std)
	return c, asJSON, err
}

// dialable is address, with the loopback in the place of every interface.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// get decodes the answer to GET path into out. It escapes the path.
func (c adminClient) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, out)
}

// post asks for path to be done.
func (c adminClient) post(ctx context.Context, path string) error {
	var done struct{ OK bool }
	if err := c.call(ctx, http.MethodPost, path, &done); err != nil {
		return err
	}
	if !done.OK {
		return c.notPortside("it does not say that this is done")
	}
	return nil
}

// call decodes the answer into out. Anything may listen at the address, so an answer that no
// portside gives is an error that says so.
func (c adminClient) call(ctx context.Context, method, path string, out any) error {
	a, err := c.ask(ctx, method, path)
	if err != nil {
		return err
	}
	if a.code != http.StatusOK {
		return c.refusal(a)
	}
	if a.media != "application/json" {
		return c.notPortside(a.String())
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return c.notPortside(err.Error())
	}
	return nil
}

// probe asks path, to which a portside answers with that line, or with 503 and the reason,
// which is then the error.
func (c adminClient) probe(ctx context.Context, path, line string) error {
	a, err := c.ask(ctx, http.MethodGet, path)
	switch {
	case err != nil:
		return err
	case a.code == http.StatusServiceUnavailable && a.media == "text/plain":
		return errors.New(strings.TrimSpace(string(a.body)))
	case a.code != http.StatusOK:
		return c.refusal(a)
	case string(a.body) != line+"\n":
		return c.notPortside(a.String())
	}
	return nil
}

// refusal is the error that a says. A portside says each in JSON.
func (c adminClient) refusal(a answer) error {
	var e struct{ Error string }
	if a.media != "application/json" || json.Unmarshal(a.body, &e) != nil || e.Error == "" {
		return c.notPortside(a.String())
	}
	return errors.New(e.Error)
}

// notPortside is the error for an answer that no portside gives.
func (c adminClient) notPortside(why string) error {
	return fmt.Errorf("what answers at %s is not portside's admin API: %s", c.base, why)
}

// answer is what came of a question.
type answer struct {
	code          int
	status, media string
	body          []byte
}

func (a answer) String() string {
	if a.media == "" {
		return a.status
	}
	return a.status + " with " + a.media
}

// answerWithin bounds the time until an answer has come whole.
const answerWithin = 5 * time.Second

func (c adminClient) ask(ctx context.Context, method, path string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := c.send(ctx, method, path)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.code, a.status = resp.StatusCode, resp.Status
	a.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<20)); err != nil {
		err = c.brokenOff(err)
	}
	return a, err
}

// send asks, and does not wait for the end of the answer. The caller closes its body.
func (c adminClient) send(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+(&url.URL{Path: path}).EscapedPath(), nil)
	if err != nil {
		return nil, err
	}
	// Without the environment's proxy, which is for the web: through it a healthcheck would
	// tell how the proxy is.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("no portside answers at %s: %w", c.base, err)
	}
	return resp, nil
}

// brokenOff is the error about an answer that began and did not end.
func (c adminClient) brokenOff(why error) error {
	return fmt.Errorf("the answer of %s broke off: %w", c.base, why)
}

// canonical is address in the form that addresses of records have, however the user has
// written it: ::1:80 for [::1]:80, IPv6 not in its shortest form, names in capitals.
func canonical(address string) string {
	if clean, _, err := record.Address(address, 0); err == nil {
		return clean
	}
	return address
}

// asListed is the address as s lists it: a fixed list keeps addresses as they were written. If
// there is no such backend, it is the canonical form.
func asListed(s admin.Service, address string) string {
	clean := canonical(address)
	found := clean
	for _, b := range s.Backends {
		switch {
		case b.Address == address:
			return address
		case canonical(b.Address) == clean:
			found = b.Address
		}
	}
	return found
}
