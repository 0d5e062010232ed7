package etcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

// An authority signs certificates.
type authority struct {
	testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB, dir string) *authority {
	a := &authority{TB: t, file: filepath.Join(dir, "ca.pem")}
	a.cert, a.key = a.sign(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "test"},
	}, a.file, "")
	return a
}

// sign writes a certificate and its key to files.
func (a *authority) sign(c *x509.Certificate, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.Fatal(err)
	}
	a.write(certFile, "CERTIFICATE", der)
	if keyFile != "" {
		b, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			a.Fatal(err)
		}
		a.write(keyFile, "EC PRIVATE KEY", b)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return parsed, key
}

func (a *authority) write(file, kind string, der []byte) {
	a.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.Fatal(err)
	}
}

// papers are certificates for an etcd and its client in one directory.
type papers struct {
	*authority
	dir string
}

func newPapers(t *testing.T) papers {
	dir := t.TempDir()
	p := papers{newAuthority(t, dir), dir}
	p.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, p.in("server.pem"), p.in("server-key.pem"))
	p.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "portside"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, p.in("client.pem"), p.in("client-key.pem"))
	return p
}

func (p papers) in(name string) string { return filepath.Join(p.dir, name) }

func (p papers) client() TLS {
	return TLS{CA: p.in("ca.pem"), Cert: p.in("client.pem"), Key: p.in("client-key.pem")}
}

func TestAnAuthorityThatIsCorrectedOnDiskIsTrusted(t *testing.T) {
	t.Parallel()
	good, f := newPapers(t), newFleet(t)
	p := startSecure(t, good.in("server.pem"), good.in("server-key.pem"), good.in("ca.pem"))
	a := f.serve()
	operatorWith(t, p.url, good.client()).put("s/a", a)
	other := newPapers(t)
	files, cfg := good.client(), quickly(p.url)
	files.CA = other.in("ca.pem") // not the one that signed etcd's certificate
	cfg.TLS = &files
	v := f.ride(run(t, cfg), "s")
	v.reason("certificate signed by unknown authority")
	if v.count() != 0 {
		t.Error("an etcd that cannot be trusted made an update")
	}
	copyFile(t, files.CA, good.in("ca.pem"))
	v.converges(atLast, a)
	v.state(discovery.Synced)
}

// What etcd's server says to a client without TLS is nothing that gRPC understands.
func TestAnEtcdWithTLSThatIsAskedWithoutIsSaid(t *testing.T) {
	t.Parallel()
	papers := newPapers(t)
	p := startSecure(t, papers.in("server.pem"), papers.in("server-key.pem"), papers.in("ca.pem"))
	v := follow(t, run(t, quickly(strings.Replace(p.url, "https://", "http://", 1))), "s")
	v.reason("is it http:// where etcd serves TLS?")
}

// The name that is configured, and not the address that is dialled, is what etcd's
// certificate has to be for.
func TestTheConfiguredServerNameIsExpected(t *testing.T) {
	t.Parallel()
	papers, f := newPapers(t), newFleet(t)
	papers.sign(&x509.Certificate{DNSNames: []string{"etcd.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, papers.in("server.pem"), papers.in("server-key.pem"))
	p := startSecure(t, papers.in("server.pem"), papers.in("server-key.pem"), papers.in("ca.pem"))
	files := papers.client()
	files.ServerName = "etcd.example"
	a := f.serve()
	operatorWith(t, p.url, files).put("s/a", a)
	cfg := quickly(p.url)
	cfg.TLS = &files
	f.ride(run(t, cfg), "s").converges(atLast, a)

	other := files
	other.ServerName = "another.example"
	cfg.TLS = &other
	follow(t, run(t, cfg), "s").reason("certificate", "another.example")
}

// A client certificate that etcd refuses is called so, though most tries end in a
// connection that breaks.
func TestARefusedClientCertificateIsSaid(t *testing.T) {
	t.Parallel()
	papers := newPapers(t)
	p := startSecure(t, papers.in("server.pem"), papers.in("server-key.pem"), papers.in("ca.pem"))
	cfg := quickly(p.url)
	cfg.TLS = &TLS{CA: papers.in("ca.pem")} // none of ours
	v := follow(t, run(t, cfg), "s")
	v.reason("certificate")
	for range 40 {
		time.Sleep(50 * time.Millisecond)
		if reason := v.source.Status().Reason; !strings.Contains(reason, "certificate") {
			t.Fatalf("the reason becomes %q", reason)
		}
	}
}

// Everything is renewed, etcd's certificate first, by another authority than
// before; ours for a while is the old one.
func TestCertificatesRenewedOnDiskAreUsed(t *testing.T) {
	t.Parallel()
	was, is, f := newPapers(t), newPapers(t), newFleet(t)
	disk, both := t.TempDir(), filepath.Join(t.TempDir(), "both.pem")
	in := func(name string) string { return filepath.Join(disk, name) }
	renew := func(from papers, names ...string) {
		for _, n := range names {
			copyFile(t, in(n), from.in(n))
		}
	}
	renew(was, "server.pem", "server-key.pem", "client.pem", "client-key.pem", "ca.pem")
	copyFile(t, both, was.in("ca.pem"), is.in("ca.pem"))
	p := startSecure(t, in("server.pem"), in("server-key.pem"), both)
	net, op := newCutter(t, p.url), operatorWith(t, p.url, was.client())
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	cfg := quickly(net.url())
	cfg.TLS = &TLS{CA: in("ca.pem"), Cert: in("client.pem"), Key: in("client-key.pem")}
	v := f.ride(run(t, cfg), "s")
	v.converges(soon, stays, goes)
	v.keep(stays)

	renew(is, "server.pem", "server-key.pem")
	net.blink()
	v.state(discovery.Stale)
	v.reason("certificate signed by unknown authority")
	op.del("s/goes")
	op.put("s/comes", comes)
	v.converges(soon, stays, goes) // the last known
	renew(is, "ca.pem", "client.pem", "client-key.pem")
	v.converges(atLast, stays, comes)
	v.state(discovery.Synced)
}

// secure is an etcd that shows cert in dir and asks for one that ca signed.
func startSecure(t *testing.T, cert, key, ca string) *process {
	t.Helper()
	anywhere := "https://127.0.0.1:0"
	return startProcess(t, map[string]any{"listen-client-urls": anywhere, "client-transport-security": map[string]any{
		"cert-file": cert, "key-file": key, "trusted-ca-file": ca, "client-cert-auth": true,
	}})
}

// operatorWith is an operator for an etcd that asks for a certificate.
func operatorWith(t *testing.T, url string, files TLS) operator {
	t.Helper()
	cfg, err := files.load()
	if err != nil {
		t.Fatal(err)
	}
	return newOperator(t, clientv3.Config{Endpoints: []string{url}, TLS: cfg})
}

func copyFile(t *testing.T, to string, from ...string) {
	t.Helper()
	var all []byte
	for _, f := range from {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(to, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAMissingCertificateFileIsSaid(t *testing.T) {
	cfg := quickly("https://127.0.0.1:1")
	cfg.TLS = &TLS{CA: filepath.Join(t.TempDir(), "absent.pem")}
	v := follow(t, run(t, cfg), "s")
	v.reason("absent.pem", "no such file")
}
