#!/bin/sh
# Checks for Go and installs the Debian packages that building needs.
#
#   packages.sh          what is needed to build and run
#   packages.sh kernel   and what the virtual Pi needs (cmd/virtualpi)
#
# As root it calls apt-get; otherwise through sudo; where neither is possible it
# names the packages and stops. What is there is not asked for again.
set -eu

case "$*" in
"" | kernel) ;;
*)
	echo "packages.sh: what is \"$*\"? (want nothing, or kernel)" >&2
	exit 2
	;;
esac

want=1.26
if ! command -v go >/dev/null 2>&1; then
	echo "Teachbox needs Go $want or newer, and there is no go in PATH." >&2
	echo "Install it from the Go project's download page and put its bin folder first in PATH; Debian 12's own package is older." >&2
	exit 1
fi
# In the module's folder, so that a go that can switch to a newer toolchain by itself does.
have=$(go env GOVERSION 2>/dev/null || true)
have=${have#go}
if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
	echo "Teachbox needs Go $want or newer; $(command -v go) is ${have:-too old to say}." >&2
	echo "Install a newer one from the Go project's download page and put its bin folder first in PATH; Debian 12's own package is older." >&2
	exit 1
fi

missing=
need() { # command package…
	if ! command -v "$1" >/dev/null 2>&1; then
		shift
		missing="$missing $*"
	fi
}
need gcc gcc libc6-dev
# A compiler without the C library's headers is as good as none.
if command -v gcc >/dev/null 2>&1 && ! echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then
	missing="$missing libc6-dev"
fi
# npm is only asked for what is not there yet.
[ -e third_party/tflite/include/tensorflow/lite/c/c_api_experimental.h ] || need npm npm
if [ "${1-}" = kernel ]; then
	need qemu-system-aarch64 qemu-system-arm
	cross=aarch64-linux-gnu-gcc
	need $cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross
	if command -v $cross >/dev/null 2>&1; then
		echo '#include <stdlib.h>' | $cross -E - >/dev/null 2>&1 || missing="$missing libc6-dev-arm64-cross"
		# It answers with the bare name where it finds no such file.
		case $($cross -print-file-name=libstdc++.so.6) in
		*/*) ;;
		*) missing="$missing libstdc++6-arm64-cross" ;;
		esac
	fi
	need make make
	need xz xz-utils
	need kmod kmod
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
else
	echo "Teachbox needs these Debian packages:$missing" >&2
	echo "Ask whoever may install them for: apt-get install$missing" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "Teachbox needs the packages that Debian calls:$missing" >&2
	echo "There is no apt-get here: install them in this system's way." >&2
	exit 1
fi
echo "installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
