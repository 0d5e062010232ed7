package etcd

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"portside/discovery/etcd/embedded"
)

// serveEnv makes this test binary an etcd instead: a process of its own can be
// stopped and killed. Its value is the data directory and the client URL.
const serveEnv = "PORTSIDE_TEST_ETCD"

func TestMain(m *testing.M) {
	SilenceGRPC()
	if dir := os.Getenv(serveEnv); dir != "" {
		serveEtcd(dir, os.Getenv(serveEnv+"_URL"))
		return
	}
	flag.Parse()
	flag.Set("test.parallel", "6") // most of them wait
	goleak.VerifyTestMain(m)
}

func serveEtcd(dir, url string) {
	s, err := embedded.Start(embedded.Options{Dir: dir, ClientURL: url, Token: os.Getenv(serveEnv + "_TOKEN")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	// Ends with its parent, however that ends: the pipe breaks.
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	fmt.Println(s.Endpoint())
	<-stop
	s.Close()
}
