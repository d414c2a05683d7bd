//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How the page looks: one sheet for light and dark screens and for paper.
enum ReportStyle {
    static let sheet = """
        :root { color-scheme: light dark; --line: #8884; --quiet: #8888; }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .3rem; }
        p { margin: .3rem 0; }
        table { border-collapse: collapse; margin: .8rem 0; width: 100%; }
        th { text-align: left; font-weight: 600; }
        th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
        td.number { text-align: right; font-variant-numeric: tabular-nums; }
        .summary th:nth-child(n+4) { text-align: right; }
        .verdict { border-radius: .7em; padding: .1em .7em; font-size: .85em; color: #fff; margin-right: .4em; }
        .automatic { background: #1a7f37; } .quiescent { background: #0969da; } .review { background: #9a6700; }
        .impossible, .failed { background: #cf222e; } .empty { background: #6e7781; }
        details { margin: .3rem 0; } summary { cursor: pointer; }
        .listing { font: 12px/1.45 ui-monospace, monospace; table-layout: fixed; }
        .listing td { border: 0; padding: 0 .5rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
        .listing col.offset { width: 4rem; }
        .listing td.offset { text-align: right; color: var(--quiet); }
        .removed { background: #cf222e26; } .added { background: #1a7f3726; }
        .skipped td { color: var(--quiet); text-align: center; border-block: 1px dotted var(--line); }
        .remedy, .costs { color: var(--quiet); }
        a { color: inherit; }
        """
}
