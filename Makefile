# What a newcomer needs stands in README.md; this is for those who work here.

GO ?= go
LINT_VERSION := v2.15.0
BIN := bin/damocles-manager

.PHONY: build test race lint smoke kill proofs fuzz bench generate check

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/damocles-manager

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

lint:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	bin/golangci-lint run

# The built binary on the sample data, as in the README.
smoke: build
	sh scripts/sample.sh $(BIN)

# SIGKILL at random moments of import, export and rollback: hundreds of runs.
KILLS ?= 300
kill:
	DM_KILLS=$(KILLS) $(GO) test -count=1 -timeout 15m -run 'TestKill' ./internal/killtest/

# What the proof check has to find, in full: every single bit of a 2 KiB sector's
# files, and 8 MiB sectors sealed here. About a minute.
proofs:
	DM_BITFLIPS=all DM_SEAL=all $(GO) test -count=1 -timeout 5m -run 'EveryBit|BitsOf|EightMiB' ./internal/post/ ./internal/sample/

# Every decoder, a while each.
FUZZTIME ?= 20s
fuzz:
	sh scripts/fuzz.sh $(FUZZTIME)

# The figures of docs/benchmarks.md; takes about half an hour.
bench: build
	sh scripts/bench.sh

generate:
	$(GO) generate ./...
	git diff --exit-code -- '*cbor_gen.go'

check: test race lint smoke
