#!/bin/sh
# Runs one stage of the tests and says how long it took: stage.sh NAME COMMAND…
name=$1
shift
printf '=== %s\n' "$name"
began=$(date +%s)
"$@"
code=$?
took=$(($(date +%s) - began))
if [ $code -eq 0 ]; then
	printf '=== %s: ok, %d s\n' "$name" $took
else
	printf '=== %s: FAILED (exit %d), %d s\n' "$name" $code $took >&2
fi
exit $code
