// Package deploy holds how portside is run: a systemd unit, a Kubernetes sidecar
// and an image. The tests check them as far as a machine without either can.
package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// binary is the lean portside, built as the image builds it.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "portside-deploy-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "portside")
	cmd := exec.Command("go", "build", "-tags", "lean", "-o", binary, "../cmd/portside")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func TestSidecarManifest(t *testing.T) {
	data, err := os.ReadFile("kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var docs []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var d map[string]any
		if dec.Decode(&d) != nil {
			break
		}
		docs = append(docs, d)
	}
	if len(docs) != 2 {
		t.Fatalf("%d documents, want a ConfigMap and a Pod", len(docs))
	}
	spec := docs[1]["spec"].(map[string]any)
	side := spec["initContainers"].([]any)[0].(map[string]any)
	if side["restartPolicy"] != "Always" {
		t.Error("an init container is a sidecar only with restartPolicy: Always")
	}
	for probe, want := range map[string]string{
		"startupProbe": "/portside healthcheck --ready", "readinessProbe": "/portside healthcheck --ready", "livenessProbe": "/portside healthcheck",
	} {
		words := side[probe].(map[string]any)["exec"].(map[string]any)["command"].([]any)
		if got := strings.Trim(fmt.Sprint(words), "[]"); got != want {
			t.Errorf("%s runs %q, want %q", probe, got, want)
		}
	}
	// A pod that waits for an etcd that is down is not to be killed for that.
	startup := side["startupProbe"].(map[string]any)
	if most := fmt.Sprint(startup["periodSeconds"], startup["failureThreshold"]); most != "1 1000000" {
		t.Errorf("the startup probe has periodSeconds and failureThreshold %s, want it to wait for days", most)
	}
	// Where nobody listens: not healthy, rather than misunderstood.
	ask := exec.Command(binary, "healthcheck", "--ready", "--admin", "127.0.0.1:1")
	if out, _ := ask.CombinedOutput(); ask.ProcessState.ExitCode() != 1 {
		t.Errorf("healthcheck --ready of nobody: %v\n%s", ask.ProcessState, out)
	}
	if side["resources"].(map[string]any)["limits"] == nil {
		t.Error("the sidecar has no limits")
	}
	config := docs[0]["data"].(map[string]any)["portside.yaml"].(string)
	cmd := exec.Command(binary, "check", "-c", "-")
	cmd.Stdin = strings.NewReader(config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("its configuration does not pass portside check: %v\n%s", err, out)
	}
}

func TestUnit(t *testing.T) {
	data, err := os.ReadFile("systemd/portside.service")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	seen := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Errorf("line %d, %q, is neither a section nor a setting", i+1, line)
			}
			seen[section+"."+key] = value
		}
	}
	if seen["Service.Type"] != "notify" || !strings.Contains(seen["Service.ExecReload"], "HUP") {
		t.Errorf("Type=%s ExecReload=%s, want notify and a HUP", seen["Service.Type"], seen["Service.ExecReload"])
	}
	if seen["Service.LogsDirectory"] != "portside" || seen["Service.StateDirectory"] != "portside" {
		t.Errorf("LogsDirectory=%s StateDirectory=%s, want a place for an access log and one for endpoints", seen["Service.LogsDirectory"], seen["Service.StateDirectory"])
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // the checks above have to do
	}
	copied := filepath.Join(t.TempDir(), "portside.service")
	text := strings.Replace(string(data), "/usr/bin/portside", binary, 1)
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", copied).CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("portside.service:")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestImage(t *testing.T) {
	data, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, _ := strings.Cut(string(data), "FROM scratch\n")
	copies := regexp.MustCompile(`(?m)^COPY .*$`).FindAllString(final, -1)
	if len(copies) != 2 || !strings.Contains(copies[0], "ca-certificates.crt") || !strings.Contains(copies[1], "/portside /portside") {
		t.Errorf("the image holds %q, want authorities and the binary alone", copies)
	}
	if !strings.Contains(final, "\nUSER 65532") {
		t.Error("the image runs as root")
	}
	// From scratch, the binary has to bring everything.
	bin := binary
	if out, err := exec.Command(bin, "version").CombinedOutput(); err != nil {
		t.Fatalf("portside version: %v\n%s", err, out)
	}
	out, err := exec.Command("go", "version", "-m", bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("CGO_ENABLED=0")) || bytes.Contains(out, []byte("go.etcd.io/etcd/server")) {
		t.Error("the lean binary is not static, or holds the etcd server")
	}
	if ldd, err := exec.LookPath("ldd"); err == nil {
		if out, _ := exec.Command(ldd, bin).CombinedOutput(); !bytes.Contains(out, []byte("not a dynamic")) {
			t.Errorf("ldd: %s", out)
		}
	}
}
