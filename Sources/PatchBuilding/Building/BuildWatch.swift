//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Watches a build: small programs in front of the compiler and the archiver record each of their commands.
///
/// In a *survey* they also answer in place of the real ones: a compile command gets an empty object, a link
/// command an empty file. So a survey of a whole library costs little more than configuring and `make`.
package struct BuildWatch: Sendable {
    /// What the programs do beside recording.
    package enum Mode: String, Sendable {
        /// They answer without compiling.
        case survey
        /// The real programs run.
        case full
    }

    /// Directory of the programs; goes to the front of PATH.
    let programs: String
    /// Directory of the records, one file per command.
    let records: String

    /// Names of compilers, and of archivers with their indexers, that are looked for on the PATH.
    private static let names: [(name: String, kind: String)] =
        [
            "cc", "gcc", "gcc-12", "c++", "g++", "g++-12", "c89", "c99", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-g++",
            "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-g++-12",
        ].map { ($0, "compiler") }
        + ["ar", "gcc-ar", "gcc-ar-12", "x86_64-linux-gnu-ar", "x86_64-linux-gnu-gcc-ar"].map { ($0, "archiver") }
        + ["ranlib", "gcc-ranlib", "gcc-ranlib-12", "x86_64-linux-gnu-ranlib"].map { ($0, "indexer") }

    /// Puts the programs in place.
    ///
    /// - Parameters:
    ///   - directory: where they and their records go.
    ///   - path: directories of the real programs.
    /// - Throws: `PreparationError`.
    static func install(in directory: String, path: [String]) async throws(PreparationError) -> BuildWatch {
        let watch = BuildWatch(programs: directory + "/programs", records: directory + "/records")
        try Files.makeDirectory(watch.programs)
        try Files.makeDirectory(watch.records)
        var installed: [String] = []
        for (name, kind) in names {
            guard let real = path.map({ "\($0)/\(name)" }).first(where: Files.exists) else { continue }
            let program = "\(watch.programs)/\(name)"
            try Files.write(watch.script(name: name, kind: kind, real: real), to: program)
            installed.append(program)
        }
        try await Command("chmod", ["755"] + installed).succeed(or: .systemFailed, "making programs executable")
        try await Command(
            "gcc", ["-c", "-x", "c", "/dev/null", "-o", watch.empty], environment: ["PATH": path.joined(separator: ":")]
        ).succeed(or: .missingBuildDependency, "compiling an empty file")
        return watch
    }

    private var empty: String { programs + "/.empty.o" }

    /// The variables that the programs look at.
    ///
    /// - Parameters:
    ///   - mode: nil for not watching.
    ///   - tree: root of the tree, mapped to `.` in what is compiled.
    func environment(_ mode: Mode?, tree: String) -> [String: String] {
        ["MOULT_WATCH": mode?.rawValue ?? "off", "MOULT_TREE": tree]
    }

    /// Process numbers come again in a long build: then the record's name is taken and gets an ending. It is
    /// tried with `true`, as a shell ends when a redirection of a special built-in command (`:`) fails.
    ///
    /// A program: records {name, directory, arguments...}, each ended by a zero byte, in a file of its own; then
    /// answers. What asks about the tools (output `/dev/null`, preprocessing, versions) goes to the real one.
    private func script(name: String, kind: String, real: String) -> String {
        """
        #!/bin/sh
        real=\(BuildWatch.quoted(real))
        [ "$MOULT_WATCH" = off ] && exec "$real" "$@"
        record=\(BuildWatch.quoted(records))/$$
        set -C
        while ! { true >"$record"; } 2>/dev/null; do record=$record.1; done
        set +C
        printf '%s\\0' \(name) "$PWD" "$@" >"$record"
        """
            + (kind == "compiler"
                ? BuildWatch.compiler(empty: empty) : kind == "archiver" ? BuildWatch.archiver : BuildWatch.indexer)
    }

    private static func compiler(empty: String) -> String {
        """

        [ "$MOULT_WATCH" = full ] && exec "$real" "$@" "-ffile-prefix-map=$MOULT_TREE=."
        out= deps= compile= source= auto= last=
        for argument in "$@"; do
          case $last in
            -o) out=$argument ;;
            -MF) deps=$argument ;;
          esac
          case $argument in
            -E|-S|-M|-MM|-v|-V|-\\#\\#\\#|--version|--help|-dump*|-print-*|/dev/null|-) exec "$real" "$@" ;;
            -o?*) out=${argument#-o} ;;
            -MF?*) deps=${argument#-MF} ;;
            -MD|-MMD) auto=1 ;;
            -c) compile=1 ;;
            -*) ;;
            *.c|*.C|*.cc|*.cpp|*.cxx|*.s|*.S|*.sx) source=$argument ;;
          esac
          last=$argument
        done
        if [ -n "$compile" ]; then
          if [ -z "$out" ]; then out=${source##*/}; out=${out%.*}.o; fi
          if [ -n "$auto" ] && [ -z "$deps" ]; then deps=${out%.*}.d; fi
          [ -n "$deps" ] && : >"$deps"
        fi
        exec cp \(quoted(empty)) "${out:-a.out}"

        """
    }

    private static let archiver = """

        [ "$MOULT_WATCH" = full ] && exec "$real" "$@"
        case $1 in
          -*[rq]*|[rq]*) : >>"$2"; exit 0 ;;
        esac
        exec "$real" "$@"

        """

    private static let indexer = """

        [ "$MOULT_WATCH" = full ] && exec "$real" "$@"
        exit 0

        """

    /// A text as one word of a shell script.
    static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }

    /// The recorded commands, oldest first, with the root of the tree replaced by a placeholder.
    ///
    /// - Throws: `PreparationError`.
    func commands(tree: String) throws(PreparationError) -> [RecordedCommand] {
        var dated: [(date: Double, command: RecordedCommand)] = []
        for name in Files.names(records) {
            let path = "\(records)/\(name)"
            let words = try Files.read(path).split(separator: 0, omittingEmptySubsequences: false).dropLast()
                .map { String(decoding: $0, as: UTF8.self) }
            guard words.count >= 2 else { continue }
            dated.append(
                (
                    Files.modificationTime(path),
                    RecordedCommand(program: words[0], directory: words[1], arguments: Array(words[2...]))
                        .movable(from: tree)
                ))
        }
        return dated.enumerated().sorted { ($0.element.date, $0.offset) < ($1.element.date, $1.offset) }
            .map(\.element.command)
    }
}
