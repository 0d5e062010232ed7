package main

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

func TestDeadChildrenAreFound(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	eventually(t, "a child that ended and is not waited for was not found", func() bool { return slices.Contains(deadChildren(os.Getpid()), pid) })
	var st syscall.WaitStatus
	if got, err := syscall.Wait4(pid, &st, syscall.WNOHANG, nil); got != pid || err != nil {
		t.Fatalf("wait4 = %d, %v", got, err)
	}
	if slices.Contains(deadChildren(os.Getpid()), pid) {
		t.Fatal("it is found after it was waited for")
	}
}
