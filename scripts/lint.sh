#!/bin/bash
# Moult: live patching for Linux
# SPDX-License-Identifier: Apache-2.0
#
# Checks the sources without building them. Usage: scripts/lint.sh
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() {
    printf '[lint] %s\n' "$*" >&2
    failed=1
}

files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

# Style: .swift-format says what it is.
files '*.swift' | xargs -0 -r swift format lint --strict --parallel || complain "swift format lint found something"

# Every file says what it belongs to and under which licence.
while IFS= read -r -d '' file; do
    [ -e "$file" ] || continue
    grep -q 'SPDX-License-Identifier: Apache-2.0' <(head -n 8 "$file") || complain "$file: no licence header"
done < <(files '*.swift' '*.c' '*.h' '*.sh' '*.py' 'Makefile' '.ci/run' | grep -zv '^Package.swift$')

# One file, one job: 400 lines are the limit.
while IFS= read -r -d '' file; do
    [ -e "$file" ] || continue
    lines=$(wc -l < "$file")
    [ "$lines" -lt 400 ] || complain "$file: $lines lines, the limit is 399"
done < <(files 'Sources/*.swift')

# Foundation stays out of the engine and of the static executables (it would be 44 MB and a parser of everything).
no_foundation=(Commands ELF DWARF Unwinding MachineCode LivePatch PatchPlan Approval ProcessInspection ProcessControl
    ProcessPatching Observation moult moult-applier moult-observer)
for room in "${no_foundation[@]}"; do
    [ -d "Sources/$room" ] || continue
    if grep -rnE '^[a-z ]*import Foundation' "Sources/$room"; then
        complain "Sources/$room: imports Foundation"
    fi
done

# The pure rooms also compile as Embedded Swift: no existentials.
for room in ELF DWARF Unwinding MachineCode LivePatch PatchPlan Approval; do
    [ -d "Sources/$room" ] || continue
    if grep -rnE '(^|[^A-Za-z`])any [A-Z]' --include='*.swift' "Sources/$room" | grep -vE '^[^:]*:[0-9]+: *//'; then
        complain "Sources/$room: uses an existential"
    fi
done

# Hostile input throws, it never traps.
if grep -rnE 'try!|fatalError\(|preconditionFailure\(' --include='*.swift' Sources | grep -vE '^[^:]*:[0-9]+: *//'; then
    complain "Sources: try!, fatalError or preconditionFailure"
fi

# Versions are pinned: the resolved file is not kept in git.
if grep -nE '\.package\(url:' Package.swift | grep -v 'exact:'; then
    complain "Package.swift: a dependency without exact:"
fi
while read -r name; do
    grep -qi "$name" Documentation/dependencies.md || complain "Documentation/dependencies.md: no line for $name"
done < <(sed -nE 's|.*\.package\(url: *"[^"]*/([^/"]+)".*|\1|p' Package.swift | sed 's/\.git$//')

# Scripts are at least well formed.
while IFS= read -r -d '' file; do
    [ -e "$file" ] || continue
    bash -n "$file" || complain "$file: bash cannot read it"
done < <(files '*.sh' '.ci/run')

if [ "$failed" = 0 ]; then printf '[lint] all is well\n'; fi
exit "$failed"
