package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
)

// credentials reads the files once, to say at once what is wrong with them, and
// then again for each new connection: certificates that were renewed on disk
// are used from the next handshake on, without a restart.
func (t *TLS) credentials() (credentials.TransportCredentials, error) {
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	return reloading{credentials.NewTLS(cfg), t}, nil
}

// load reads the files. A nil t trusts the system's roots.
func (t *TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return cfg, nil
	}
	cfg.ServerName = t.ServerName
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("etcd's certificate authority: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd's certificate authority %s: no certificate in it", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("etcd's client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// reloading is TLS whose files are read for each handshake. A handshake with
// etcd is rare; reading is simpler than watching, and never late.
type reloading struct {
	credentials.TransportCredentials
	files *TLS
}

func (r reloading) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := r.files.load()
	if err != nil {
		return nil, nil, err
	}
	if cfg.ServerName != "" {
		authority = cfg.ServerName // gRPC expects what it dialled, whatever the configuration says
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, conn)
}

func (r reloading) Clone() credentials.TransportCredentials {
	return reloading{r.TransportCredentials.Clone(), r.files}
}
