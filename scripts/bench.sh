#!/bin/sh
# Measures what docs/benchmarks.md says: whole processes, medians of three runs.
# Needs about 12 GB of disk and 12 minutes, and a machine with nothing else to do.
#
# usage: sh scripts/bench.sh [quick]      quick leaves out the million sectors
set -eu
cd "$(dirname "$0")/.."
# whatever daemon runs on this machine is left alone
export DAMOCLES_LISTEN=none
work=${BENCH_DIR:-$(mktemp -d)}
trap 'rm -rf "$work"; [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true' EXIT
mkdir -p "$work"

CGO_ENABLED=0 go build -trimpath -o "$work/damocles-manager" ./cmd/damocles-manager
go build -o "$work/bench" ./internal/bench
dm="$work/damocles-manager --quiet"

uname -sr
grep -m1 'model name' /proc/cpuinfo
echo "processors: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), $(go version)"
echo

# pair SECTORS SIZE LABEL: import from a repo, export into an empty one, list
pair() {
	sectors=$1 label=$3
	"$work/bench" -repo "$work/lotus" -sectors "$sectors" -size "$2"
	"$work/bench" -measure "import, $label" -sectors "$sectors" -reset "rm -rf $work/home; sync" -- \
		$dm --home "$work/home" util sealer sectors import --repo "$work/lotus"
	rm -rf "$work/lotus"
	# an export keeps origins, too: each run gets the store as the import left it
	mv "$work/home/switching/origins" "$work/origins"
	"$work/bench" -measure "export, $label" -sectors "$sectors" \
		-reset "rm -rf $work/out $work/now; $work/bench -repo $work/out -sectors 0; cp -R $work/origins $work/now; sync" -- \
		$dm --home "$work/home" util sealer sectors export --miner f01000 metadata --dest-repo "$work/out" --origins "$work/now"
	"$work/bench" -measure "export, $label, without origins" -sectors "$sectors" \
		-reset "rm -rf $work/out $work/now; $work/bench -repo $work/out -sectors 0; sync" -- \
		$dm --home "$work/home" util sealer sectors export --miner f01000 metadata --dest-repo "$work/out" --origins "$work/now"
	rm -rf "$work/out" "$work/now" "$work/origins"
	"$work/bench" -measure "list, $label" -sectors "$sectors" -- \
		$dm --home "$work/home" util sealer sectors list --offline --snapup
	rm -rf "$work/home"
}

pair 100000 0 "records of 1.5 KB"
[ "${1:-}" = quick ] || pair 1000000 0 "records of 1.5 KB"
"$work/bench" -serve 127.0.0.1:0 -sectors 3000 -latency 2ms > "$work/addr" &
server=$!
while [ ! -s "$work/addr" ]; do sleep 0.1; done
for jobs in 1 16; do
	"$work/bench" -measure "import over RPC, 2 ms a call, --jobs $jobs" -sectors 3000 -reset "rm -rf $work/home" -- \
		$dm --home "$work/home" util sealer sectors import --api "http://$(cat "$work/addr")" --jobs $jobs
done
kill "$server"
server=

pair 100000 10240 "records of 10 KB"
