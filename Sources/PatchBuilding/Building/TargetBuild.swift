//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One target, with its build prepared: what objects are made of, and in what they can be rebuilt.
package struct TargetBuild: Sendable {
    /// The recipe it was opened for.
    package let recipe: Recipe
    /// What was picked.
    package let offer: Offer
    /// The whole file of the target: as the distribution ships it, or as it was rebuilt.
    package let shipped: [UInt8]
    /// The compiler, as `gcc --version` names it.
    package let compiler: String
    /// What the steps so far took.
    package let costs: [PreparedFix.Cost]

    let material: Acquisition.Material
    let build: WatchedBuild
    let target: TargetObjects
    let cache: Cache

    /// Names of all objects that go into the target, in the order in which they are linked. Members of archives
    /// are among them whether or not the linker took them.
    package var objectNames: [String] { target.objects.map(target.name(of:)) }

    /// Absolute paths of all objects, in the same order. They hold code only after a full build.
    package var objectPaths: [String] { target.objects.map { "\(build.tree)/\($0.place)" } }

    /// Absolute path of the rebuilt target, a file that can be loaded; nil if the target is the shipped one.
    package var rebuiltTarget: String? { offer.rebuiltWithout.isEmpty ? nil : linkedPath }

    /// Absolute path of the linked target. It holds code only after a full build.
    package var linkedPath: String { "\(build.tree)/\(target.output)" }

    /// The source of an object, from the root of the source tree; nil if there is no such object.
    package func source(ofObject name: String) -> String? {
        target.objects.first { target.name(of: $0) == name }?.source
    }

    /// A file of the vulnerable source.
    ///
    /// - Throws: `PreparationError` with `systemFailed`.
    package func contents(of path: String) throws -> [UInt8] { try Files.read("\(build.tree)/\(path)") }

    /// Builds objects three times: plain, with sections, and with sections from changed source.
    ///
    /// - Parameters:
    ///   - names: which objects; nil for all.
    ///   - changes: changed sources by their paths from the root of the source tree. None gives equal builds.
    /// - Returns: the objects, in link order.
    /// - Throws: `PreparationError` with `buildFailed`.
    package func rebuild(objects names: Set<String>? = nil, changes: [String: [UInt8]] = [:]) async throws
        -> [RebuiltObject]
    {
        let objects = target.objects.filter { names?.contains(target.name(of: $0)) ?? true }
        return try await ObjectBuilder(build: build, target: target, cache: cache)
            .rebuild(objects, changes: changes).objects
    }
}
