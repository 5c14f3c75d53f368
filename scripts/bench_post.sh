#!/bin/sh
# Measures the proof check as docs/benchmarks.md says it: the hash against field
# multiplications and against another library, in pairs; a Window check of a 32 GiB
# sector of zeros; and the command over a partition of such sectors.
# Needs 300 MB of disk on a file system with sparse files, and the network once,
# for the other library.
#
# usage: sh scripts/bench_post.sh [quick]    quick takes 100 sectors and 3 pairs
set -eu
cd "$(dirname "$0")/.."
repo=$PWD
made=
if [ -z "${BENCH_DIR:-}" ]; then made=$(mktemp -d); fi
work=${BENCH_DIR:-$made}/post
trap 'rm -rf "$work" ${made:+"$made"}' EXIT
mkdir -p "$work/compare"
pairs=7 runs=3 sectors=2349
[ "${1:-}" != quick ] || pairs=3 runs=1 sectors=100

CGO_ENABLED=0 go build -trimpath -o "$work/damocles-manager" ./cmd/damocles-manager
go build -o "$work/bench" ./internal/bench
bench=$work/bench

# Below our own path, so that the module may import what is internal.
{
	sed -e 's|^module .*|module damocles-manager/compare|' go.mod
	echo 'require github.com/triplewz/poseidon v0.0.2'
	echo 'require damocles-manager v0.0.0'
	echo "replace damocles-manager => $repo"
} > "$work/compare/go.mod"
cp go.sum "$work/compare/go.sum"
sed -e '/^\/\/go:build ignore$/d' scripts/compare_poseidon.go > "$work/compare/main.go"
(cd "$work/compare" && go build -mod=mod -o ../compare-poseidon .)

uname -sr
grep -m1 'model name' /proc/cpuinfo
echo "processors: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), $(go version)"
echo
"$bench" -post hashes -runs $pairs
echo
"$work/compare-poseidon" $pairs
echo
"$bench" -post zeros -sectors $sectors "$work/zeros"
"$bench" -post window "$work/zeros"
dm="$work/damocles-manager --quiet --home $work/zeros/home util sealer sectors check --without-chain"
"$bench" -measure "check --window" -runs $runs -sectors $sectors -- $dm
