#!/usr/bin/env python3
# Moult: live patching for Linux
# SPDX-License-Identifier: Apache-2.0
"""Turns what `moult-build build --format json` says into tables for Documentation/corpus.md.

Usage: moult-build build --dry-run --format json RECIPE... | scripts/verdicts.py
"""
import json
import sys

ORDER = ["automatic", "quiescent", "review", "impossible", "empty", "failed"]


def verdict(patch):
    return "failed" if patch["failure"] else patch["verdict"]


def functions(patch):
    def size(number):
        return "-" if number is None else str(number)

    listed = [
        f"`{f['name']}` {size(f['old-size'])} -> {size(f['new-size'])}" for f in patch["functions"]
    ]
    if len(listed) > 4:
        listed = listed[:3] + [f"and {len(listed) - 3} more"]
    return ", ".join(listed)


def reason(patch):
    if patch["failure"]:
        return f"`{patch['failure']['reason']}`"
    if not patch["reasons"]:
        return ""
    first = patch["reasons"][0]
    more = len({r["reason"] for r in patch["reasons"]}) - 1
    text = f"`{first['reason']}`" + (f" {first['subject']}" if first["subject"] else "")
    return text + (f" (and {more} more)" if more else "")


def main():
    # One document a line: several runs can be put together.
    patches = [patch for line in sys.stdin if line.strip() for patch in json.loads(line)["patches"]]
    print("| live patch | target | verdict | functions, bytes before and after | first reason |")
    print("| --- | --- | --- | --- | --- |")
    for patch in patches:
        name = patch["id"] or patch["recipe"]
        target = (patch["target"] or {}).get("object", "").split("/")[-1]
        if patch["rebuilt-without"]:
            target += " (rebuilt)"
        print(f"| {name} | {target} | {verdict(patch)} | {functions(patch)} | {reason(patch)} |")
    counts = {word: sum(verdict(p) == word for p in patches) for word in ORDER}
    print()
    print(", ".join(f"{word}: {number}" for word, number in counts.items()))


if __name__ == "__main__":
    main()
