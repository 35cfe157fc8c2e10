# Two commands matter: `make run` starts a server to try, `make test` passes
# every test. Both do their own set-up. The rest is for people who work here.

ARGS ?= --dev
FUZZTIME ?= 20s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help run test build fmt lint race fuzz mutate bench bench-feedback e2e web soak clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build and run a server to try, on this machine only (ARGS="--http :8443" for others)
	@scripts/codec-packages.sh
	go run ./cmd/parley serve $(ARGS)

test: ## install what is needed and pass all tests; ends with a table
	go run ./scripts/testall

build: ## bin/parley
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.Version=$(VERSION)" -o bin/parley ./cmd/parley

fmt: ## format
	gofmt -w $$(git ls-files '*.go')

lint: ## formatting, vet, layers
	go run ./scripts/testall -only format,house

race: ## Go tests under the race detector
	go test -race -shuffle=on ./...

fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

mutate: ## takes rewriting lines away one by one; a test must notice each
	go run ./scripts/mutate

bench: ## forwarding benchmark beside a bare sender: ratios, allocations, memory
	scripts/bench.sh
	go run ./scripts/mixbench
	go run ./bench/video

bench-feedback: ## what rate control costs: forwarding with feedback, pacing and RTX beside none of it
	scripts/bench.sh -feedback -rounds 6 -only '1x100 GCM,10x10 GCM' -duration 5s -idle 0 $(BENCHARGS)

e2e: ## browsers end to end
	go run ./scripts/testall -only packages,browsers -v

web: ## rebuild the committed web client
	cd web && npm ci --no-progress && cd build && go run .

soak: ## long runs: churn and leaks, the delay at 60 % of a core, media on bad networks
	cd test && SOAK=1 go test -count=1 -timeout 60m -run 'Soak|L2|L3|R3|Q12|Q15' -v ./...
	cd test/e2e && npm ci --no-progress && SOAK=1 node --test --test-concurrency=1 --test-reporter=spec tests/moving.test.mjs soak/squeeze.mjs soak/capacity.mjs
	go run ./scripts/quality

clean: ## remove what was built
	rm -rf bin test/results
