package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// profileAll runs each workload through portside alone, profiled, and prints
// where its time went.
func (b *bed) profileAll(ctx context.Context, chosen []workload) error {
	for _, w := range chosen {
		if w.cold {
			continue
		}
		b.progress("profile " + w.name)
		if err := b.profileOne(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

func (b *bed) profileOne(ctx context.Context, w workload) error {
	st, err := b.enter(ctx, w)
	if err != nil {
		return err
	}
	defer st.clear()
	if st.setup.Admin, err = freeAddr(); err != nil {
		return err
	}
	a, err := st.bring(ctx, b.peers[0])
	if err != nil {
		return err
	}
	defer a.proxy.stop()
	path := filepath.Join(b.options.out, strings.ReplaceAll(w.name, "/", "-")+".pprof")
	fetched := make(chan error, 1)
	go func() { fetched <- fetchProfile(ctx, a.setup.Admin, path, b.options.window) }()
	if _, err := w.run(ctx, st, a); err != nil {
		return err
	}
	if err := <-fetched; err != nil {
		return err
	}
	b.clearLine()
	fmt.Printf("%s  %s\n", w.name, w.says)
	return top(b.options.portside, path)
}

// fetchProfile takes the profile of the window, less its edges.
func fetchProfile(ctx context.Context, admin, path string, w window) error {
	if err := sleep(ctx, w.warm); err != nil {
		return err
	}
	seconds := max(int(w.length/time.Second), 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, seconds), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s: %s", res.Status, data)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// top prints the heaviest functions, by themselves and with all they call.
func top(binary, path string) error {
	for _, order := range []string{"-flat", "-cum"} {
		cmd := exec.Command("go", "tool", "pprof", "-top", order, "-nodecount=25", binary, path)
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("pprof: %w", err)
		}
	}
	return nil
}
