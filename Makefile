# What a newcomer needs stands in README.md; this is for those who work here.

GO ?= go
LINT_VERSION := v2.15.0
BIN := bin/damocles-manager

.PHONY: build test race lint smoke kill load proofs mongo original fuzz bench generate manual release release-check install check

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/damocles-manager

# To remember a result, go looks at every file that the tests have opened, which
# takes a third of the time of all: -count=1 keeps it from that.
test:
	$(GO) test -count=1 ./...

race:
	$(GO) test -count=1 -race ./...

lint:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	bin/golangci-lint run
	cd mongotest && ../bin/golangci-lint run -c ../.golangci.yml
	cd originaltest && ../bin/golangci-lint run -c ../.golangci.yml

# The built binary: the demo of the README, and the sample data.
smoke: build
	$(BIN) demo
	sh scripts/sample.sh $(BIN)

# SIGKILL at random moments of import, export and rollback: hundreds of runs.
KILLS ?= 300
kill:
	DM_KILLS=$(KILLS) $(GO) test -count=1 -timeout 15m -run 'TestKill' ./internal/killtest/

# A daemon under a load of 200 clients and of others that mean it ill, for a
# minute; how fast it lists and takes 100,000 sectors; and lists of a million
# elements.
LOAD ?= 60s
load:
	DM_LOAD=$(LOAD) $(GO) test -count=1 -timeout 10m -v -run 'TestDaemonUnderLoad' ./internal/killtest/
	DAEMON_SPEED=100000 $(GO) test -count=1 -timeout 10m -v -run 'Speed' ./internal/daemon/
	DM_ELEMENTS=1000000 $(GO) test -count=1 -run 'TestLargeList' ./internal/serve/

# What the proof check has to find, in full: every single bit of a 2 KiB sector's
# files, and 8 MiB sectors sealed here. About a minute.
proofs:
	DM_BITFLIPS=all DM_SEAL=all $(GO) test -count=1 -timeout 5m -run 'EveryBit|BitsOf|EightMiB' ./internal/post/ ./internal/sample/

# A home in MongoDB, on a FerretDB that the tests start: a module of its own.
# Below a minute, the first time with two more for the compiler. What it requires
# has to follow this module: `go mod tidy` there, where the first step fails.
mongo:
	cd mongotest && $(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test -count=1 ./...

# The JSON-RPC library of the original: its client against our daemon, its server
# beside ours. A module of its own.
original:
	cd originaltest && $(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test -count=1 ./...

# Every decoder, a while each.
FUZZTIME ?= 20s
fuzz:
	sh scripts/fuzz.sh $(FUZZTIME)

# The figures of docs/benchmarks.md; takes three quarters of an hour.
bench: build
	sh scripts/bench.sh
	sh scripts/bench_files.sh
	sh scripts/bench_post.sh
	sh scripts/bench_daemon.sh

# What is made from the code: the codec, the manual pages, the completions, the
# list of licences. Fails where something of it was not committed.
generate:
	$(GO) generate ./...
	git diff --exit-code -- '*cbor_gen.go' man completions THIRD_PARTY.md

# Run this after a command, a flag or a module was changed, and commit the result.
manual:
	$(GO) generate ./internal/manual

# Static binaries for linux amd64 and arm64 of the commit that is checked out, in
# dist/. VERSION=0.1.0 names the release, else its tag does.
release:
	sh scripts/release.sh $(VERSION)

# The same, built twice from scratch: the bytes have to be equal.
release-check:
	CHECK=1 sh scripts/release.sh $(VERSION)

# Binary, manual pages and completions below PREFIX.
PREFIX ?= /usr/local
install: build
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 man/*.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions completions/bash/damocles-manager
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions completions/zsh/_damocles-manager
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d completions/fish/damocles-manager.fish

check: test race lint smoke
