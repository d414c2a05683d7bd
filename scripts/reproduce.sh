#!/bin/bash
# Moult: live patching for Linux
# SPDX-License-Identifier: Apache-2.0
#
# Builds live patches twice, each time from nothing but the fetched files: once as it is called, once in another
# cache, with another environment, mask, time zone and one processor. Says whether the files are equal.
# Usage: scripts/reproduce.sh MOULT-BUILD RECIPE...
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n 's/^# Usage: /usage: /p' "$0" >&2
    exit 64
fi
builder=$(realpath "$1")
shift
recipes=()
for recipe in "$@"; do recipes+=("$(realpath "$recipe")"); done

cache="${MOULT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moult}"
directory=$(mktemp -d)
trap 'rm -rf -- "$directory"' EXIT
first="$directory/1"
second="$directory/the second of two/whose/path is longer"

# What is fetched is an input, and need not be fetched again; all else is made again.
mkdir -p "$first" "$second"
for recipe in "${recipes[@]}"; do
    source=$(basename "$(dirname "$recipe")")
    suite=$(basename "$(dirname "$(dirname "$recipe")")")
    package=$(sed -nE 's/^ *(package: *\{)? *name: *([a-z0-9.+-]+).*/\2/p' "$recipe" | head -n 1)
    for part in "upstream/$source" "debian/$source" "binary/$package"; do
        [ -d "$cache/mirror/$suite/$part" ] || continue
        mkdir -p "$first/mirror/$suite/$part"
        cp -a "$cache/mirror/$suite/$part/." "$first/mirror/$suite/$part"
    done
done

run() { printf '[reproduce] %s\n' "$1" >&2; shift; "$@" >/dev/null; }
run "first build" env MOULT_CACHE="$first" "$builder" build "${recipes[@]}" --output "$directory/a"
cp -a "$first/mirror" "$second"
run "second build, elsewhere" env -i HOME=/nonexistent LANG=de_DE.UTF-8 LC_ALL=tr_TR.UTF-8 TZ=Pacific/Kiritimati \
    PATH=/nonexistent:/usr/bin:/bin SOURCE_DATE_EPOCH=1 CFLAGS=-O0 DEB_BUILD_OPTIONS=noopt MAKEFLAGS=-j7 \
    MOULT_CACHE="$second" taskset -c 0 bash -c 'umask 077; cd /; exec "$0" "$@"' \
    "$builder" build "${recipes[@]}" --output "$directory/b"

failed=0
for file in "$directory"/a/*.moult; do
    name=$(basename "$file")
    if cmp -s "$file" "$directory/b/$name"; then
        printf '[reproduce] %s: equal, sha256 %s\n' "$name" "$(sha256sum <"$file" | cut -c -64)"
    else
        printf '[reproduce] %s: DIFFERS\n' "$name"
        failed=1
    fi
done
exit "$failed"
