package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whatever the text, Load returns; what loads is written back to text that
// loads to the same.
func FuzzLoad(f *testing.F) {
	for _, c := range faultCases {
		if len(c.yaml) < 1<<12 {
			f.Add(c.yaml)
		}
	}
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample))
	f.Add(full)
	f.Fuzz(func(t *testing.T, text string) {
		hang := time.AfterFunc(20*time.Second, func() { panic("Load has not returned for " + text) })
		defer hang.Stop()
		first, err := Load(testOptions(text))
		if err != nil {
			if faults := err.(Faults); len(faults) == 0 || faults.Pretty() == "" {
				t.Fatal("an error that says nothing")
			}
			return
		}
		effective := string(first.Effective())
		o := testOptions(effective)
		if first.Etcd.Password != "" {
			o.Env = variables{passwordVariable: first.Etcd.Password}.lookup
		}
		second, err := Load(o)
		if err != nil {
			t.Fatalf("what was written does not load: %v\n%s", err, effective)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("what was written loads to something else:\n%s\n%s", diff, effective)
		}
	})
}

func FuzzArgument(f *testing.F) {
	f.Add("orders=7001,balance=ewma,endpoints=10.0.0.1:80+h:1;weight=2,health.tcp=")
	f.Add("a=,a.b.c=d,a=,=")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(Options{Search: []string{}, Env: variables{}.lookup, Args: []string{text}})
		if err == nil && len(c.Services) != 1 {
			t.Fatalf("%q is %d services, want 1", text, len(c.Services))
		}
		if err == nil && strings.ContainsAny(c.Services[0].Name, " =,") {
			t.Fatalf("%q is a service named %q", text, c.Services[0].Name)
		}
	})
}
