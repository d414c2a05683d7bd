# Moult: live patching for Linux
# SPDX-License-Identifier: Apache-2.0
#
#   make demo         the main job, from a fresh clone to a table of results
#   make test         every test that does not need a corpus of packages
#   make corpus       the tests on real packages: fixes, whole libraries, mutations, prologues; the first run
#                     prepares builds of OpenSSL, expat, zlib, gnutls28 and curl
#   make build        the executables, optimised
#   make lint         style and house rules, nothing is built
#   make clean-cache  forget everything that was built or downloaded
#
# Each can be run again at any time and does only what is left to do. Nothing is written into the tree.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test corpus build lint clean-cache

# A stable place outside the tree: a second clone finds the dependencies built.
ifdef XDG_CACHE_HOME
MOULT_CACHE ?= $(XDG_CACHE_HOME)/moult
else
MOULT_CACHE ?= $(HOME)/.cache/moult
endif
MOULT_BUILD ?= $(MOULT_CACHE)/build
export MOULT_CACHE MOULT_BUILD

# More flags for `swift build` and `swift test`, and for the demo.
SWIFT_FLAGS ?=
DEMO_FLAGS ?=
swift_flags := --scratch-path "$(MOULT_BUILD)" $(SWIFT_FLAGS)

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@scripts/setup.sh demo
	@echo "[demo] building everything, optimised, in $(MOULT_BUILD)"
	@swift build -c release $(swift_flags)
	@"$$(swift build -c release $(swift_flags) --show-bin-path)/moult-demo" $(DEMO_FLAGS)

# What takes longer than a test may, and needs packages that are prepared for minutes when nothing is cached.
corpus_suites := SystemTests\.(LiveFix|OpenSSLFix|OpenSSLLayout|CorpusMatching|OpenSSLMutation|Prologue|PrologueRun)Tests

test:
	@scripts/setup.sh test
	@echo "[test] building and testing in $(MOULT_BUILD)"
	@swift test --disable-xctest $(swift_flags) --skip '$(corpus_suites)'

corpus:
	@scripts/setup.sh test corpus
	@echo "[corpus] building and testing in $(MOULT_BUILD)"
	@swift test --disable-xctest $(swift_flags) --filter '$(corpus_suites)'

build:
	@scripts/setup.sh build
	@swift build -c release $(swift_flags)
	@echo "[build] executables: $$(swift build -c release $(swift_flags) --show-bin-path)"

lint:
	@scripts/lint.sh

clean-cache:
	rm -rf -- "$(MOULT_CACHE)"
