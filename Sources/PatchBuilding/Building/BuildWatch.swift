//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Watches a build: small programs in front of the compiler, the archiver, `mv` and `cp` record each of their
/// commands.
///
/// In a *survey* that of the compiler also answers in its place: compiling and linking give an empty object. So a
/// survey of a whole library costs little more than configuring and `make`.
package struct BuildWatch: Sendable {
    /// What the programs do beside recording.
    package enum Mode: String, Sendable {
        /// They answer without compiling.
        case survey
        /// The real programs run.
        case full
    }

    /// Directory of the programs.
    let programs: String
    /// Directory of the records, one file per command.
    let records: String

    /// Where the programs are seen in the sandbox; goes to the front of PATH.
    static let placeOfPrograms = Sandbox.own + "/programs"
    /// Where the records are written in the sandbox.
    static let placeOfRecords = Sandbox.own + "/records"

    /// A sandbox in which the watched build can run.
    func mounted(in sandbox: Sandbox) -> Sandbox {
        sandbox.reading(programs, at: BuildWatch.placeOfPrograms).writing(records, at: BuildWatch.placeOfRecords)
    }

    /// Names of programs that are looked for on the PATH: compilers, archivers, and what moves or copies files.
    private static let names: [(name: String, kind: String)] =
        [
            "cc", "gcc", "gcc-12", "c++", "g++", "g++-12", "c89", "c99", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-g++",
            "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-g++-12",
        ].map { ($0, "compiler") }
        + ["ar", "gcc-ar", "gcc-ar-12", "x86_64-linux-gnu-ar", "x86_64-linux-gnu-gcc-ar"].map { ($0, "archiver") }
        + ["mv", "cp"].map { ($0, "mover") }

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
        func real(_ name: String) -> String? { path.map { "\($0)/\(name)" }.first(where: Files.exists) }
        guard let copy = real("cp") else { throw PreparationError(.systemFailed, "there is no 'cp'") }
        for (name, kind) in names {
            guard let real = real(name) else { continue }
            let program = "\(watch.programs)/\(name)"
            try Files.write(watch.script(name: name, kind: kind, real: real, copy: copy), to: program)
            installed.append(program)
        }
        try await Command("chmod", ["755"] + installed).succeed(or: .systemFailed, "making programs executable")
        try await Command(
            "gcc", ["-c", "-x", "c", "/dev/null", "-o", watch.programs + "/.empty.o"],
            environment: ["PATH": path.joined(separator: ":")]
        ).succeed(or: .missingBuildDependency, "compiling an empty file")
        return watch
    }

    private static let empty = placeOfPrograms + "/.empty.o"

    /// The variables that the programs look at; nil for not watching.
    static func environment(_ mode: Mode?) -> [String: String] { ["MOULT_WATCH": mode?.rawValue ?? "off"] }

    /// A program: records {name, directory, arguments...}, each ended by a zero byte, in a file of its own, and
    /// beside it the files of arguments that it is given; then answers. A command that cannot be recorded fails: a
    /// build of which something is not known is of no use. What asks about the tools (output `/dev/null`,
    /// preprocessing, versions) goes to the real one.
    ///
    /// Process numbers come round again in a long build, so the name of a record may be taken. It is `true` that
    /// tries it and not `:`, because a failed redirection of a special built-in ends the shell (POSIX, 2.8.1).
    private func script(name: String, kind: String, real: String, copy: String) -> String {
        """
        #!/bin/sh
        real=\(BuildWatch.quoted(real))
        [ "$MOULT_WATCH" = off ] && exec "$real" "$@"
        record=\(BuildWatch.placeOfRecords)/$$
        set -C
        while ! { true >"$record"; } 2>/dev/null; do [ -e "$record" ] || exit 1; record=$record.1; done
        set +C
        printf '%s\\0' \(name) "$PWD" "$@" >"$record" || exit 1

        """
            + (kind == "mover"
                ? BuildWatch.mover
                : BuildWatch.argumentFiles(copy: copy)
                    + (kind == "compiler" ? BuildWatch.compiler(copy: copy) : "exec \"$real\" \"$@\"\n"))
    }

    /// Keeps the files of arguments that a command names, by the number of the argument: they may be gone later.
    private static func argumentFiles(copy: String) -> String {
        """
        number=0
        for argument in "$@"; do
          case $argument in
            @?*) if [ -f "${argument#@}" ]; then \(quoted(copy)) "${argument#@}" "$record@$number" || exit 1; fi ;;
          esac
          number=$((number + 1))
        done

        """
    }

    /// A target that is a directory already is marked: the record does not show it otherwise.
    private static let mover = """
        for last in "$@"; do :; done
        if [ -d "$last" ]; then printf '%s\\0' \(MoveCommand.directoryMark) >>"$record" || exit 1; fi
        exec "$real" "$@"

        """

    private static func compiler(copy: String) -> String {
        """
        [ "$MOULT_WATCH" = full ] && exec "$real" "$@"
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
        exec \(quoted(copy)) \(empty) "${out:-a.out}"

        """
    }

    /// A text as one word of a shell script.
    static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }

    /// The recorded commands, oldest first, with the root of the tree replaced by a placeholder.
    ///
    /// - Parameter tree: where the tree was seen in the sandbox.
    /// - Throws: `PreparationError`.
    func commands(tree: String) throws(PreparationError) -> [RecordedCommand] {
        var dated: [(date: Double, number: Int, command: RecordedCommand)] = []
        let names = Set(Files.names(records))
        for name in names where !name.contains("@") {
            let path = "\(records)/\(name)"
            let words = try Files.read(path).split(separator: 0, omittingEmptySubsequences: false).dropLast()
                .map { String(decoding: $0, as: UTF8.self) }
            guard words.count >= 2 else { continue }
            var arguments: [String] = []
            for (index, argument) in words[2...].enumerated() {
                if names.contains("\(name)@\(index)") {
                    arguments += ArgumentFile.arguments(try Files.read("\(path)@\(index)"))
                } else {
                    arguments.append(argument)
                }
            }
            dated.append(
                (
                    Files.modificationTime(path), Int(name.prefix { $0 != "." }) ?? 0,
                    RecordedCommand(program: words[0], directory: words[1], arguments: arguments).movable(from: tree)
                ))
        }
        // The clock of files is coarse: of commands that it cannot tell apart the lower process number was first.
        return dated.sorted { ($0.date, $0.number) < ($1.date, $1.number) }.map(\.command)
    }
}
