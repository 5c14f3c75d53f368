#!/bin/sh
# Measures the daemon's figures in docs/benchmarks.md: a home of a million
# sectors, listed whole over both transports. Needs about 6 GB and 3 minutes.
#
# usage: sh scripts/bench_daemon.sh [SECTORS]
set -eu
cd "$(dirname "$0")/.."
# whatever daemon runs on this machine is left alone
export DAMOCLES_LISTEN=none
sectors=${1:-1000000}
work=${BENCH_DIR:-$(mktemp -d)}
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"

CGO_ENABLED=0 go build -trimpath -o "$work/damocles-manager" ./cmd/damocles-manager
go build -o "$work/bench" ./internal/bench
dm="$work/damocles-manager --quiet --home $work/home"

uname -sr
grep -m1 'model name' /proc/cpuinfo
echo "processors: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), $(go version)"
echo

"$work/bench" -repo "$work/lotus" -sectors "$sectors"
$dm util sealer sectors import --repo "$work/lotus" > /dev/null
rm -rf "$work/lotus"
"$work/bench" -daemon 127.0.0.1:17893 -sectors "$sectors" -- $dm daemon run --listen 127.0.0.1:17893
