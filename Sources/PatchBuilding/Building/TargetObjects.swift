//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The objects that go into one shared library or program, found in the commands of a watched build.
struct TargetObjects: Sendable {
    /// Compile commands of the objects, in the order in which they are linked.
    let objects: [CompileCommand]
    /// What the link makes, from the root of the tree.
    let output: String
    /// The directory that the link runs in, from the root of the tree.
    private let directory: String

    /// Follows the link of a target back to compile commands.
    ///
    /// - Parameters:
    ///   - shipped: the target as it is shipped: what the build links for it has the same file name, or the path
    ///     that the recipe gives.
    ///   - build: the watched build.
    /// - Throws: `PreparationError` with `targetNotBuilt`.
    init(of shipped: Recipe.ShippedObject, in build: WatchedBuild) throws(PreparationError) {
        try self.init(
            named: Files.name(shipped.object), linked: shipped.linked, commands: build.commands,
            isSharedLibrary: { Files.exists("\(build.tree)/\($0)") })
    }

    /// The same for commands alone.
    ///
    /// - Parameters:
    ///   - name: file name of the target: `libcrypto.so.3`.
    ///   - linked: its path from the root of the tree; empty if its name says enough.
    ///   - commands: the commands, oldest first.
    ///   - isSharedLibrary: whether a file is there, so that `-lfoo` means it and not an archive.
    init(
        named name: String, linked: String = "", commands: [RecordedCommand], isSharedLibrary: (String) -> Bool
    ) throws(PreparationError) {
        var products = Products()
        for command in commands { products.follow(command, isSharedLibrary: isSharedLibrary) }
        let links = products.links { linked.isEmpty ? Files.name($0) == name : $0 == linked }
        let wanted = linked.isEmpty ? name : linked
        guard let link = links.first else {
            throw PreparationError(.targetNotBuilt, "no command of the build makes '\(wanted)'")
        }
        guard links.allSatisfy({ $0.command == link.command }) else {
            let paths = links.map(\.path).joined(separator: ", ")
            throw PreparationError(
                .targetNotBuilt,
                "the build makes '\(wanted)' more than once, and the recipe does not say which: \(paths)")
        }
        guard !link.command.namesArgumentFile else {
            throw PreparationError(.targetNotBuilt, "the link of '\(wanted)' takes its arguments from a file")
        }
        let found = link.objects
        guard !found.isEmpty else {
            throw PreparationError(.targetNotBuilt, "no object of '\(wanted)' was compiled while the build was watched")
        }
        // What is left out here would be missing in the target without anyone noticing.
        guard link.unknown.isEmpty else {
            let paths = link.unknown.joined(separator: ", ")
            throw PreparationError(
                .targetNotBuilt, "no command of the build compiles what '\(wanted)' is made of: \(paths)")
        }
        var sources: [String: String] = [:]
        for object in found {
            guard let other = sources.updateValue(object.source, forKey: object.output) else { continue }
            throw PreparationError(
                .targetNotBuilt, "the build compiles \(other) and \(object.source) into one file, '\(object.output)'")
        }
        objects = found
        output = link.path
        directory = link.command.command.pathInTree(".") ?? ""
    }

    /// An object's path from the directory that the link runs in, for people: `crypto/libcrypto-lib-mem.o`.
    func name(of object: CompileCommand) -> String {
        guard !directory.isEmpty, object.place.hasPrefix(directory + "/") else { return object.place }
        return String(object.place.dropFirst(directory.utf8.count + 1))
    }
}
