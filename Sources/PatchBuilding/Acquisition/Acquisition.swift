//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Finds out what of a recipe is really offered, and gets it.
struct Acquisition: Sendable {
    /// What was got: paths of files on this machine.
    struct Material: Sendable, Equatable {
        /// What was picked.
        var offer: Offer
        /// The binary package; nil if the target is rebuilt.
        var binary: String?
        /// The vulnerable source version.
        var sourceVersion: String
        /// Upstream's tarballs of the vulnerable source.
        var vulnerableUpstream: [String]
        /// The distribution's part of the vulnerable source.
        var vulnerableDebian: [String]
        /// Upstream's tarballs of the fixed source.
        var fixedUpstream: [String]
        /// The distribution's part of the fixed source; none if the fix comes from a tarball.
        var fixedDebian: [String]
    }

    let mirror: Mirror
    let progress: @Sendable (String) -> Void

    /// Picks the first shipped version and the first source of the fix whose files can all be had.
    ///
    /// A file that is not there is noted and does not stop the others.
    ///
    /// - Throws: `PreparationError` with `nothingOffered`, listing every file that was missing.
    func pick(_ recipe: Recipe) async throws -> Material {
        let source = recipe.location.source
        var missing: [Offer.Missing] = []

        var vulnerable: (version: String, sourceVersion: String, stored: [Mirror.Stored])?
        for version in recipe.vulnerable where vulnerable == nil {
            let sourceVersion = PackageVersion.source(ofBinary: version)
            let upstream = PackageVersion.upstream(of: sourceVersion)
            var wanted: [Wanted] = [
                (
                    "upstream tarball of \(source) \(upstream)",
                    { try await mirror.upstream(source, upstream: upstream) }
                ),
                (
                    "Debian's part of \(source) \(sourceVersion)",
                    { try await mirror.debian(source, version: sourceVersion) }
                ),
            ]
            // What is rebuilt needs no binary: that it is the vulnerable one is why it is rebuilt.
            if recipe.rebuildWithout.isEmpty {
                wanted.append(
                    (
                        "\(recipe.target.package) \(version)",
                        { try await mirror.binary(recipe.target.package, version: version) }
                    ))
            }
            let stored = try await all(wanted, &missing)
            if let stored { vulnerable = (version, sourceVersion, stored) }
        }
        guard let vulnerable else { throw Acquisition.nothing("no vulnerable version", recipe, missing) }

        for fixed in recipe.fixed {
            let wanted: [Wanted]
            switch fixed {
            case .tarball(let upstream):
                wanted = [
                    (
                        "upstream tarball of \(source) \(upstream)",
                        { try await mirror.upstream(source, upstream: upstream) }
                    )
                ]
            case .source(let version):
                let upstream = PackageVersion.upstream(of: version)
                wanted = [
                    (
                        "upstream tarball of \(source) \(upstream)",
                        { try await mirror.upstream(source, upstream: upstream) }
                    ),
                    ("Debian's part of \(source) \(version)", { try await mirror.debian(source, version: version) }),
                ]
            }
            guard let stored = try await all(wanted, &missing) else { continue }
            var inputs: [Offer.Input] = []
            for file in (vulnerable.stored + stored).flatMap(\.files) where !inputs.contains(file) {
                inputs.append(file)
            }
            return Material(
                offer: Offer(
                    vulnerable: vulnerable.version, rebuiltWithout: recipe.rebuildWithout, fixed: fixed,
                    missing: missing, inputs: inputs.sorted { $0.name < $1.name }),
                binary: vulnerable.stored.count > 2 ? vulnerable.stored[2].paths.first : nil,
                sourceVersion: vulnerable.sourceVersion,
                vulnerableUpstream: vulnerable.stored[0].paths, vulnerableDebian: vulnerable.stored[1].paths,
                fixedUpstream: stored[0].paths, fixedDebian: stored.count > 1 ? stored[1].paths : [])
        }
        throw Acquisition.nothing("no source of the fix", recipe, missing)
    }

    private typealias Wanted = (name: String, get: () async throws -> Mirror.Stored)

    /// Gets all, even if one is missing, so that all that is missing can be told.
    private func all(_ wanted: [Wanted], _ missing: inout [Offer.Missing]) async throws -> [Mirror.Stored]? {
        var stored: [Mirror.Stored] = []
        for (name, get) in wanted {
            progress("getting \(name)")
            do {
                stored.append(try await get())
            } catch let error as PreparationError
                where [.fileNotOffered, .versionNotListed, .fetchFailed].contains(error.code)
            {
                progress("not offered: \(error.reason)")
                missing.append(Offer.Missing(file: name, reason: error.reason))
            }
        }
        return stored.count == wanted.count ? stored : nil
    }

    private static func nothing(_ what: String, _ recipe: Recipe, _ missing: [Offer.Missing]) -> PreparationError {
        PreparationError(
            .nothingOffered, "\(what) of \(recipe.location.source) that the recipe names can be had whole",
            details: missing.map { "\($0.file): \($0.reason)" }.joined(separator: "\n"))
    }
}
