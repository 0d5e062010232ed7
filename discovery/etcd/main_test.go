package etcd

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// serveEnv makes this test binary an etcd instead: a process of its own can be
// stopped and killed. Its value is a file as etcd itself reads it.
const serveEnv = "PORTSIDE_TEST_ETCD"

func TestMain(m *testing.M) {
	SilenceGRPC()
	if file := os.Getenv(serveEnv); file != "" {
		serveEtcd(file)
		return
	}
	flag.Parse()
	flag.Set("test.parallel", "6") // most of them wait
	goleak.VerifyTestMain(m)
}

func serveEtcd(file string) {
	cfg, err := embed.ConfigFromFile(file)
	if err != nil {
		fail(err)
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		fail(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	// Ends with its parent, however that ends: the pipe breaks.
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	<-e.Server.ReadyNotify()
	fmt.Println(cfg.ListenClientUrls[0].Scheme + "://" + e.Clients[0].Addr().String())
	<-stop
	e.Close()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
