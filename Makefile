# evenkeel: `make demo` shows it, `make test` proves it, `make bench` measures it.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.buildDate=$(shell git log -1 --format=%cd --date=format:%Y/%m/%d 2>/dev/null || date +%Y/%m/%d)
export CGO_ENABLED = 0

.PHONY: build test test-go race fuzz demo bench docs peers clean

build: ## the program, at bin/evenkeel
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/evenkeel ./cmd/evenkeel

peers: ## the programs that tests and benchmarks compare with (Debian, as root)
	@scripts/peers

test: peers build ## everything that has to be true
	scripts/test

test-go: ## the tests alone
	$(GO) test ./...

race: ## the packages with goroutines, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./internal/... | grep -v -e /dialect/ -e /wire/ -e /model)

fuzz: ## every fuzz test, FUZZTIME (default 30s) each
	scripts/fuzz $(FUZZTIME)

demo: build ## live, on loopback, without root and without configuration
	$(GO) run ./demo $(ARGS)

bench: build ## side by side with HAProxy and nginx
	$(GO) run ./bench $(ARGS)

docs: build ## docs/haproxy.md from the keyword tables
	bin/evenkeel keywords haproxy --markdown > docs/haproxy.md

clean:
	rm -rf bin
