# evenkeel: `make demo` shows it, `make test` proves it, `make bench` measures it.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD_DATE ?= $(shell git log -1 --format=%cd --date=format:%Y/%m/%d 2>/dev/null || date +%Y/%m/%d)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.buildDate=$(BUILD_DATE)
FUZZTIME ?= 30s
export CGO_ENABLED = 0

.DEFAULT_GOAL = build
.PHONY: help build test test-go test-ipvs race fuzz demo demo-proxy drill bench docs peers clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 20

build: ## the program, at bin/evenkeel
	$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/evenkeel ./cmd/evenkeel

peers: ## the programs that tests and benchmarks compare with (Debian, as root)
	@scripts/peers

test: peers build ## everything that has to be true
	@GO="$(GO)" scripts/test

test-go: ## the tests alone
	$(GO) test ./...

test-ipvs: ## against the kernel's IPVS, and on Linux 6.1, in a guest that has both (Debian)
	$(GO) test -tags ipvs -count=1 -timeout 25m ./test/ipvs

race: ## the packages with goroutines, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./internal/... | grep -v -e /dialect/ -e /wire/ -e /model)

fuzz: ## every fuzz test, FUZZTIME (30s) each
	@GO="$(GO)" scripts/fuzz $(FUZZTIME)

demo: build ## live, without configuration: as root a pair of directors with an address that moves, else one on loopback
	@$(GO) build -trimpath -buildvcs=false -o bin/demo ./demo
	@if [ "$$(id -u)" -eq 0 ] && unshare -n true 2>/dev/null; then bin/evenkeel lab demo $(ARGS); else bin/demo $(ARGS); fi

demo-proxy: build ## the demo of the proxy alone, on loopback
	@$(GO) build -trimpath -buildvcs=false -o bin/demo ./demo
	@bin/demo $(ARGS)

drill: peers build ## failures on pairs of directors, beside keepalived and HAProxy (root)
	@scripts/drill $(ARGS)

bench: peers build ## side by side with HAProxy and nginx; packet forwarding beside nft (root)
	$(GO) run ./bench $(ARGS)

docs: ## docs/haproxy.md and docs/keepalived.md from the keyword tables
	for d in haproxy keepalived; do \
		$(GO) run ./cmd/evenkeel keywords $$d --markdown > docs/$$d.md.new && mv docs/$$d.md.new docs/$$d.md || exit 1; \
	done

clean: ## what was built
	rm -rf bin
