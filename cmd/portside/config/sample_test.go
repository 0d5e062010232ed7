package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
	"portside/discovery/etcd"
	"portside/pool"
	"portside/proxy"
)

func TestSampleLoadsToEveryValueItShows(t *testing.T) {
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeKeyPair(t, dir)
	file := write(t, dir, "portside.yaml", string(sample))

	got, err := Load(Options{Path: file, Env: variables{"ETCD_PASSWORD": "s3cret$"}.lookup})
	if err != nil {
		t.Fatalf("the sample does not load:\n%v", err)
	}
	if diff := cmp.Diff(sampleConfig(dir), got); diff != "" {
		t.Errorf("the sample loads to other values than it shows (-want +got):\n%s", diff)
	}
	if !got.NeedsEtcd() {
		t.Error("NeedsEtcd = false, but orders is in etcd")
	}
}

func sampleConfig(dir string) *Config {
	orders := newService("orders")
	orders.Listen = "127.0.0.1:7001"
	orders.Protocol = ProtocolHTTP
	orders.Prefix = "service/orders/"
	orders.Pool = pool.Config{
		Balance: pool.LeastConn,
		Eject:   pool.Eject{Consecutive: 5, On: pool.On5xx, Backoff: time.Second, MaxBackoff: time.Minute, MaxPercent: 50},
		Guard:   pool.Guard{MaxLeave: 0.5, Window: 5 * time.Second, SuspectMax: 10 * time.Minute, ProbeEvery: time.Second},
	}
	orders.Timeouts = Timeouts{Connect: time.Second, Idle: 5 * time.Minute, Head: 10 * time.Second}
	orders.Retry = Retry{Attempts: 3, Budget: 0.2}
	orders.OnRemove, orders.RemoveTimeout = RemoveDrain, 5*time.Minute
	orders.Health = &Check{Kind: CheckHTTP, URL: "/healthz", Interval: 5 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
	orders.HTTP = HTTP{Forwarded: proxy.ForwardedAppend, MaxIdle: 128, Limits: Limits{Head: 64 << 10, Fields: 128}}

	ledger := newService("ledger")
	ledger.Listen = "127.0.0.1:7002"
	ledger.Format = ""
	ledger.Endpoints = []discovery.Endpoint{{Address: "10.0.0.7:5432", Weight: 1}, {Address: "10.0.0.8:5432", Weight: 2}}
	ledger.HTTP = HTTP{}

	return &Config{
		Etcd: Etcd{
			Config: etcd.Config{
				Endpoints: []string{"http://127.0.0.1:2379"},
				Username:  "app", Password: "s3cret$",
				TLS: &etcd.TLS{
					CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "client.pem"),
					Key: filepath.Join(dir, "client-key.pem"), ServerName: "etcd",
				},
				Liveness: 10 * time.Second, Audit: 5 * time.Minute,
			},
			Prefix: "service/",
		},
		Admin:    "127.0.0.1:7070",
		Drain:    Drain{Timeout: 30 * time.Second},
		Services: []Service{orders, ledger},
		Register: []Registration{{
			Name: "billing", Address: "10.0.0.5:8080", Key: "service/billing/10.0.0.5:8080", Format: "plain",
			TTL: 10 * time.Second, LeaveDelay: 2 * time.Second, StopTimeout: 30 * time.Second, Weight: 1,
			Check: &Check{
				Kind: CheckHTTP, URL: "http://127.0.0.1:8080/healthz",
				Interval: 2 * time.Second, Timeout: time.Second, Rise: 1, Fall: 3,
			},
		}},
		Source: filepath.Join(dir, "portside.yaml"),
	}
}

// variables are an environment.
type variables map[string]string

func (v variables) lookup(name string) (string, bool) {
	value, set := v[name]
	return value, set
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// writeKeyPair makes ca.pem, client.pem (the same certificate) and client-key.pem.
func writeKeyPair(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write(t, dir, "ca.pem", certPEM)
	write(t, dir, "client.pem", certPEM)
	write(t, dir, "client-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

// YAML 1.2 7.3.3: in brackets too, a colon with text right behind it is text.
func TestAddressesInBracketsNeedNoQuotes(t *testing.T) {
	text := "services:\n  a: {listen: 127.0.0.1:7001, endpoints: [127.0.0.1:80, db.example:81, \"[::1]:82\"]}\n" +
		"etcd: {endpoints: [http://a:1]}\nregister:\n  b: {address: 10.0.0.5:80, check: {http: http://127.0.0.1:8080/healthz}}\n"
	got, err := Load(Options{Path: write(t, t.TempDir(), "portside.yaml", text), Env: variables{}.lookup})
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, e := range got.Services[0].Endpoints {
		addresses = append(addresses, e.Address)
	}
	if diff := cmp.Diff([]string{"127.0.0.1:80", "db.example:81", "[::1]:82"}, addresses); diff != "" {
		t.Errorf("endpoints in brackets within braces (-want +got):\n%s", diff)
	}
	if got.Etcd.Endpoints[0] != "http://a:1" || got.Register[0].Check.URL != "http://127.0.0.1:8080/healthz" {
		t.Errorf("URLs in brackets: %v, %v", got.Etcd.Endpoints, got.Register[0].Check)
	}
}
