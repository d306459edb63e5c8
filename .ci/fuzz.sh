#!/bin/sh
# Fuzzes every target of the module for a while: fuzz.sh 10s
set -eu
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
packages=$(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
echo "$packages" | while read -r package dir; do
	for target in $(grep -hos '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //'); do
		echo "$package $target"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$package" >"$log" 2>&1; then
			continue
		fi
		# At the end of its time Go's fuzzer now and then takes the end itself for
		# a failure. A real one has an input.
		if grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input\|panic' "$log"; then
			continue
		fi
		cat "$log" >&2
		exit 1
	done
done
