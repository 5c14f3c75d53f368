#!/bin/sh
# Carries the sample sectors of a lotus-miner into a new damocles home, lists
# them, and carries them back into an empty repo. Works on copies in a temporary
# directory, which is removed at the end. Any unexpected exit code fails it.
#
# usage: sh scripts/sample.sh [BINARY]     (without one, it is built)
set -eu
cd "$(dirname "$0")/.."
# whatever daemon runs on this machine is left alone
export DAMOCLES_LISTEN=none

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ $# -gt 0 ]; then
	binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
else
	binary=$work/damocles-manager
	CGO_ENABLED=0 go build -o "$binary" ./cmd/damocles-manager
fi
fixtures=testdata/fixtures/switch-2k
cp -R $fixtures/lotusminer $fixtures/damocles-home $fixtures/storage "$work"
chmod -R u+w "$work"
cd "$work"
# the samples say that their stores are below /storage
for file in lotusminer/storage.json damocles-home/sector-manager.cfg; do
	sed "s|\"/storage/|\"$work/storage/|g" "$file" > rewritten
	mv rewritten "$file"
done

# run WANTED-EXIT-CODE ARGS...: shows the command and what it prints
run() {
	want=$1
	shift
	printf '\n$ damocles-manager %s\n' "$*"
	got=0
	"$binary" "$@" || got=$?
	if [ "$got" -ne "$want" ]; then
		echo "exit code $got, want $want" >&2
		exit 1
	fi
}

echo "# A lotus-miner repo with 32 sectors, into a damocles home that is made. Exit code 3:"
echo "# three sectors are unfinished, and listed. Its stores become damocles's, where they are."
run 3 --home home util sealer sectors import --repo lotusminer --with-stores --write-config
echo
echo "# Once more: nothing is left to do but the unfinished ones."
run 3 --quiet --home home util sealer sectors import --repo lotusminer
run 0 --quiet --home home util sealer sectors list --offline=true --miner f01000
run 0 --quiet --home home util sealer sectors state f01000 20
run 0 --quiet --home home util storage find f01000 5
echo
echo "# The other way: what a real damocles-manager sealed, into that repo. 117 and 118 are unfinished."
run 3 --home damocles-home util sealer sectors export --miner f01000 metadata --dest-repo lotusminer --dry-run
run 3 --home damocles-home util sealer sectors export --miner f01000 metadata --dest-repo lotusminer
echo
echo "# damocles's stores become lotus-miner's, where they are."
run 0 --quiet --home damocles-home util sealer sectors export --miner f01000 stores --dest-repo lotusminer
echo
echo "# And undone, the last first."
run 0 --quiet --home damocles-home util sealer sectors export --miner f01000 rollback --dest-repo lotusminer
run 0 --quiet --home damocles-home util sealer sectors export --miner f01000 rollback --dest-repo lotusminer \
	--backup "$(ls lotusminer/backups/export-2*.journal)"
echo
echo "# Or the files are moved to another place: sector 103, which two stores had, and the upgraded 110."
run 0 --home damocles-home util sealer sectors export --miner f01000 files --dest-path "$work/elsewhere" --numbers 103,110
echo
echo "sample: ok"
