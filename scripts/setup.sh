#!/bin/bash
# Moult: live patching for Linux
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that are missing. Usage: scripts/setup.sh [build] [test] [corpus] [demo]
# Can be run any number of times; what is there is left alone, and with nothing missing no network is used.
set -euo pipefail

# What each purpose needs, and why: Documentation/dependencies.md.
build_packages=(libsodium-dev libzydis-dev libssl-dev pkg-config)
factory_packages=(bubblewrap gcc libc6-dev binutils dpkg-dev xz-utils patch perl make ca-certificates clang-format-14)
test_packages=(g++ pahole gdb libunicorn-dev python3 util-linux procps openssl libssl-dev)
# What the packages of Recipes/ are built with, beside the factory's own.
corpus_packages=(autoconf automake autopoint bison gettext gperf libtool pkg-config python3 libbrotli-dev libgnutls28-dev
    libidn2-dev libkrb5-dev libldap2-dev libnghttp2-dev libnss3-dev libp11-kit-dev libpsl-dev librtmp-dev libssh2-1-dev
    libssl-dev libtasn1-6-dev libunistring-dev libzstd-dev nettle-dev zlib1g-dev)
# nginx itself is fetched and unpacked by the demo, never installed; its libraries are.
demo_packages=(wrk curl openssl libssl-dev libpcre2-8-0 libcrypt1 zlib1g python3 procps)

say() { printf '[setup] %s\n' "$*"; }

wanted=()
for purpose in "${@:-build}"; do
    case "$purpose" in
        build) wanted+=("${build_packages[@]}") ;;
        test) wanted+=("${build_packages[@]}" "${factory_packages[@]}" "${test_packages[@]}" "${demo_packages[@]}") ;;
        corpus) wanted+=("${corpus_packages[@]}") ;;
        demo) wanted+=("${build_packages[@]}" "${factory_packages[@]}" "${demo_packages[@]}") ;;
        *) say "unknown purpose '$purpose': build, test, corpus or demo"; exit 64 ;;
    esac
done

if ! command -v swift >/dev/null; then
    say "Swift 6.3 is not on PATH: see https://www.swift.org/install/linux/"
    exit 1
fi

missing=()
for package in $(printf '%s\n' "${wanted[@]}" | sort -u); do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    say "all Debian packages are there"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    say "missing, and only root can install them: ${missing[*]}"
    exit 1
fi

# Another apt may hold the lock, and a mirror may fail for a moment: wait for the one, try again for the other.
apt=(apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -y)
export DEBIAN_FRONTEND=noninteractive
for attempt in 1 2 3; do
    say "installing ${missing[*]} (try $attempt of 3)"
    if "${apt[@]}" -q update && "${apt[@]}" -q --no-install-recommends install "${missing[@]}"; then
        say "done"
        exit 0
    fi
    [ "$attempt" = 3 ] || { say "failed; trying again in 20 seconds"; sleep 20; }
done
say "could not install: ${missing[*]}"
exit 1
