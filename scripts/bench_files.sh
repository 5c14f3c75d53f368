#!/bin/sh
# Measures copies and moves of files as docs/benchmarks.md says them: whole
# processes against cp, rsync, rclone and the original's way, each in turn, so
# that other load meets all of them; medians, and ratios pair by pair.
# Needs rsync and rclone, 20 GB of disk and 18 GB of memory, and to be root, as
# the page cache is dropped before each run on disk.
#
# usage: sh scripts/bench_files.sh [quick]    quick takes 8 files of 128 MiB, and fewer runs
set -eu
cd "$(dirname "$0")/.."
# whatever daemon runs on this machine is left alone
export DAMOCLES_LISTEN=none
disk=${BENCH_DIR:-$(mktemp -d)}
shm=$(mktemp -d /dev/shm/bench.XXXXXX)
trap 'rm -rf "$disk" "$shm"' EXIT
mkdir -p "$disk"
runs=5 large=3 mib=1024
[ "${1:-}" != quick ] || runs=3 large=3 mib=128

CGO_ENABLED=0 go build -trimpath -o "$disk/damocles-manager" ./cmd/damocles-manager
go build -o "$disk/bench" ./internal/bench
bench=$disk/bench
for tool in rsync rclone; do
	command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 1; }
done

uname -sr
grep -m1 'model name' /proc/cpuinfo
echo "processors: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), $(go version)"
cp --version | head -1; rsync --version | head -1; rclone version | head -1
"$bench" -limits "$disk"
echo

# big PLACE LABEL RESET: 8 files of 1 GiB, which are no sectors: the engine alone
big() {
	place=$1
	mkdir -p "$place/src/sealed"
	for i in 0 1 2 3 4 5 6 7; do
		head -c ${mib}M /dev/urandom > "$place/src/sealed/s-t01000-$i"
		mkdir -p "$place/src/cache/s-t01000-$i"
		for f in p_aux t_aux sc-02-data-tree-r-last.dat; do head -c 64 /dev/urandom > "$place/src/cache/s-t01000-$i/$f"; done
	done
	reset="rm -rf $place/dst; mkdir $place/dst; sync; $3"
	"$bench" -compare "8 files of $mib MiB $2, verify size" -runs $large -reset "$reset" -- \
		"ours=$bench -engine copy -verify size $place/src $place/dst" \
		"cp -a=cp -a $place/src/. $place/dst && sync -f $place/dst" \
		"cp -r, no times kept=cp -r $place/src/. $place/dst && sync -f $place/dst" \
		"rsync -W=rsync -aW $place/src/ $place/dst && sync -f $place/dst" \
		"rclone copy=rclone copy -q $place/src $place/dst && sync -f $place/dst" \
		"original=$bench -original $place/src $place/dst && sync -f $place/dst"
	"$bench" -compare "8 files of $mib MiB $2, verify hash" -runs $large -reset "$reset" -- \
		"ours=$bench -engine copy -verify hash $place/src $place/dst" \
		"rsync, then rsync -c=rsync -aW $place/src/ $place/dst && sync -f $place/dst && rsync -aWc $place/src/ $place/dst"
	rm -rf "$place/src" "$place/dst"
}

# small PLACE LABEL RESET: 2,000 sectors of 2 KiB, with the command itself
small() {
	place=$1
	"$bench" -home "$place/home" -sectors 2000 "$place/src"
	dm="$disk/damocles-manager --quiet --home $place/home util sealer sectors export --miner 1000 files --dest-path $place/dst --reserve"
	reset="rm -rf $place/dst; mkdir $place/dst; sync; $3"
	"$bench" -compare "2,000 sectors of 2 KiB $2, verify size" -runs $((runs + 2)) -reset "$reset" -- \
		"ours=$dm --verify size" \
		"the engine alone=$bench -engine copy -size 2048 -verify size $place/src $place/dst" \
		"cp -a=cp -a $place/src/. $place/dst && sync -f $place/dst" \
		"cp -r, no times kept=cp -r $place/src/. $place/dst && sync -f $place/dst" \
		"rsync -W=rsync -aW $place/src/ $place/dst && sync -f $place/dst" \
		"rclone copy=rclone copy -q $place/src $place/dst && sync -f $place/dst" \
		"original=$bench -original $place/src $place/dst && sync -f $place/dst"
	"$bench" -compare "2,000 sectors of 2 KiB $2, verify hash" -runs $((runs + 2)) -reset "$reset" -- \
		"ours=$dm --verify hash" \
		"rsync, then rsync -c=rsync -aW $place/src/ $place/dst && sync -f $place/dst && rsync -aWc $place/src/ $place/dst"
	rm -rf "$place/src" "$place/dst" "$place/home"
}

# moves PLACE LABEL: 20,000 sectors of 2 KiB within a file system, there and back
moves() {
	place=$1
	"$bench" -home "$place/home" -sectors 20000 "$place/src"
	cp -r "$place/home" "$place/home.was"
	back="for k in sealed cache; do mkdir -p $place/dst/\$k; (cd $place/dst/\$k && find . -mindepth 1 -maxdepth 1 -name 's-*' -print0 | xargs -0 -r mv -t $place/src/\$k); done"
	"$bench" -compare "move of 20,000 sectors of 2 KiB $2" -runs $((runs + 2)) \
		-reset "$back; rm -rf $place/dst $place/home; cp -r $place/home.was $place/home; mkdir -p $place/dst/sealed $place/dst/cache; sync" -- \
		"ours=$disk/damocles-manager --quiet --home $place/home util sealer sectors export --miner 1000 files --dest-path $place/dst" \
		"the engine alone=$bench -engine move -size 2048 $place/src $place/dst" \
		"find and mv=for k in sealed cache; do (cd $place/src/\$k && find . -mindepth 1 -maxdepth 1 -print0 | xargs -0 mv -t $place/dst/\$k) || exit 1; done; sync -f $place/dst"
	rm -rf "$place/src" "$place/dst" "$place/home" "$place/home.was"
}

drop='echo 3 > /proc/sys/vm/drop_caches'
small "$disk" "on disk" "$drop"
small "$shm" "in memory" true
moves "$disk" "on disk"
big "$disk" "on disk" "$drop"
big "$shm" "in memory" true
