#!/bin/sh
# Runs every fuzz target of the project for a while each.
#
# usage: sh scripts/fuzz.sh [DURATION]     (10s if not given)
set -eu
cd "$(dirname "$0")/.."
duration=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go before 1.27 fails a target now and then because its time is up (Go's issue
# 75804): it prints "context deadline exceeded" and has found nothing. Such a
# target runs again; what it finds, and any other end, fails at once.
fuzz() {
	for left in 2 1 0; do
		# minimising a finding of millions of bytes would take the whole time
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "$duration" -fuzzminimizetime 5x "$1" </dev/null >"$log" 2>&1; then
			cat "$log"
			return 0
		fi
		cat "$log"
		if grep -q 'Failing input' "$log" || ! grep -q -A 1 -- "^--- FAIL: $2 (" "$log" ||
			[ "$(sed -n "/^--- FAIL: $2 (/,/^FAIL\$/p" "$log" | sed '1d;$d')" != '    context deadline exceeded' ]; then
			return 1
		fi
		[ "$left" = 0 ] || echo "--- $1 $2: its time was up, and nothing was found: once more"
	done
	return 1
}

grep -rlE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal | sort -u >"$log.files"
trap 'rm -f "$log" "$log.files"' EXIT
while read -r file; do
	for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/func //'); do
		echo "--- ./$(dirname "$file") $target"
		fuzz "./$(dirname "$file")" "$target"
	done
done <"$log.files"
