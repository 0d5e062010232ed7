# Tools run at pinned versions and are no part of go.mod.
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
MICRO       = go test -run '^$$' -bench . -benchtime 200ms -count 6 ./pool ./proxy/...
BENCHSTAT   = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

FUZZTIME ?= 30s
# The race detector links C; where there is no C compiler, tests run without.
RACE = $(shell command -v $$(go env CC) >/dev/null 2>&1 && echo -race)
FLAGS    = -trimpath -ldflags "-s -w -X main.release=$(RELEASE)"

.PHONY: help demo build lean test check fuzz cover bench bench-micro

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## etcd, three backends and a portside on this machine; Ctrl-C ends it
	@go build -o bin/portside ./cmd/portside
	@exec bin/portside demo

build: ## bin/portside
	CGO_ENABLED=0 go build $(FLAGS) -o bin/portside ./cmd/portside

lean: ## bin/portside-lean, without the embedded etcd
	CGO_ENABLED=0 go build $(FLAGS) -tags lean -o bin/portside-lean ./cmd/portside

test: ## all tests, with the race detector where there is a C compiler
	go test $(RACE) ./...

check: ## what a commit needs: format, vet, static analysis, tidiness, tests
	@test -z "$$(go run $(GOFUMPT) -l . | tee /dev/stderr)" || { echo "run: go run $(GOFUMPT) -w ."; exit 1; }
	go vet ./...
	go vet -tags lean ./...
	GOOS=darwin go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	go test $(RACE) ./...

fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read f; do \
	  for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$f); do \
	    echo "$$t in $$(dirname $$f)"; go test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) $$(dirname $$f) || exit 1; \
	  done; done

cover: ## coverage of the tests, as a page
	go test -coverprofile=bin/cover.out -coverpkg=./... ./... && go tool cover -html=bin/cover.out -o bin/cover.html

bench: ## portside beside its peers, in one run; ARGS=-quick for a minute's answer
	go run ./bench $(ARGS)

bench-micro: ## benchmarks beside the code, against the last commit's
	@mkdir -p bin
	@base=$$(git rev-parse --short HEAD); git diff --quiet HEAD -- || changed=yes; \
	[ -n "$$changed" ] || base=$$(git rev-parse --short HEAD~1); \
	if [ ! -f bin/bench.$$base ]; then \
	  former=$$(mktemp -d) && git worktree add -q --detach $$former $$base && echo "first those of $$base" && \
	  (cd $$former && $(MICRO)) > bin/bench.tmp && mv bin/bench.tmp bin/bench.$$base; \
	  git worktree remove --force $$former; \
	fi; \
	$(MICRO) | tee bin/bench.now && go run $(BENCHSTAT) bin/bench.$$base bin/bench.now
