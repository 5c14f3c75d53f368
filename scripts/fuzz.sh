#!/bin/sh
# Runs every fuzz target of the project for a while each.
#
# usage: sh scripts/fuzz.sh [DURATION]     (10s if not given)
set -eu
cd "$(dirname "$0")/.."
duration=${1:-10s}
grep -rhoE --include='*_test.go' 'func Fuzz[A-Za-z0-9_]+' internal -l | sort -u | while read -r file; do
	package=./$(dirname "$file")
	grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/func //' | while read -r target; do
		echo "--- $package $target"
		# minimising a finding of millions of bytes would take the whole time
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" -fuzzminimizetime 5x "$package" </dev/null
	done
done
