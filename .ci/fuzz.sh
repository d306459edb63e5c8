#!/bin/sh
# Fuzzes every target of the module for a while: fuzz.sh 10s
set -eu
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fuzz() { # package target
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 20x "$1" >"$log" 2>&1
}
packages=$(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
echo "$packages" | while read -r package dir; do
	for target in $(grep -hos '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //'); do
		echo "$package $target"
		fuzz "$package" "$target" && continue
		# At the end of its time Go's fuzzer now and then takes the end itself for
		# a failure. A real one has an input, and comes again.
		if grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input\|panic' "$log"; then
			echo "$package $target, once more"
			fuzz "$package" "$target" && continue
		fi
		cat "$log" >&2
		exit 1
	done
done
