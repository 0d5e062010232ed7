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
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

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

func TestCertificatesRenewedOnDiskAreUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	good := newAuthority(t, dir)
	good.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, in("server.pem"), in("server-key.pem"))
	good.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "portside"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, in("client.pem"), in("client-key.pem"))
	endpoint := startSecure(t, transport.TLSInfo{CertFile: in("server.pem"), KeyFile: in("server-key.pem"), TrustedCAFile: in("ca.pem"), ClientCertAuth: true})

	other := t.TempDir()
	newAuthority(t, other) // not the one that signed etcd's certificate
	cfg := quickly(endpoint)
	cfg.TLS = &TLS{CA: filepath.Join(other, "ca.pem"), Cert: in("client.pem"), Key: in("client-key.pem")}
	v := follow(t, run(t, cfg), "s")
	v.reason("certificate signed by unknown authority")
	if v.count() != 0 {
		t.Error("an etcd that cannot be trusted made an update")
	}
	pem, err := os.ReadFile(in("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.TLS.CA, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	v.state(discovery.Synced)
}

func startSecure(t *testing.T, info transport.TLSInfo) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	free := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	secure := url.URL{Scheme: "https", Host: "127.0.0.1:0"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{free}, []url.URL{free}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{secure}, []url.URL{secure}
	cfg.InitialCluster = cfg.Name + "=" + free.String()
	cfg.TickMs, cfg.ElectionMs, cfg.UnsafeNoFsync = 10, 100, true
	cfg.ClientTLSInfo = info
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return "https://" + e.Clients[0].Addr().String()
}

func TestAMissingCertificateFileIsSaid(t *testing.T) {
	cfg := quickly("https://127.0.0.1:1")
	cfg.TLS = &TLS{CA: filepath.Join(t.TempDir(), "absent.pem")}
	v := follow(t, run(t, cfg), "s")
	v.reason("absent.pem", "no such file")
}
