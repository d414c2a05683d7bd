//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A fix as its author describes it: which holes, of which shipped binary, closed by which source change.
///
/// One file, `Recipes/<suite>/<source>/<id>.yaml`, describes one fix. Where it names several targets, each gives a
/// recipe and a live patch of its own. A recipe names sources and holds none of their code.
package struct Recipe: Sendable, Equatable {
    /// Where a recipe stands, and what its live patch is called.
    package struct Location: Sendable, Equatable {
        /// The distribution's suite: `bookworm`.
        package var suite: String
        /// The source package: `openssl`.
        package var source: String
        /// The live patch: `CVE-2026-75803`, unique within the source. The file's name; of a file with several
        /// targets with the target's name behind it (`CVE-2026-75803-libssl`).
        package var identifier: String

        /// Makes a location of its parts.
        package init(suite: String, source: String, identifier: String) {
            self.suite = suite
            self.source = source
            self.identifier = identifier
        }
    }

    /// The target: one file of one binary package, as it is shipped or as it is rebuilt (see `rebuildWithout`).
    package struct ShippedObject: Sendable, Equatable {
        /// Name of the binary package: `libssl3`.
        package var package: String
        /// Path of the file in that package, without a leading slash.
        package var object: String
        /// Path of what the build links for it, from the root of the source tree; empty where the only linked file
        /// of the same name is meant.
        package var linked: String

        /// Makes it of its parts.
        package init(package: String, object: String, linked: String = "") {
            self.package = package
            self.object = object
            self.linked = linked
        }

        /// The name of the file up to `.so`: `libssl` of `usr/lib/libssl.so.3`.
        package var stem: String {
            let name = object.split(separator: "/").last.map(String.init) ?? object
            return name.firstRange(of: ".so").map { String(name[..<$0.lowerBound]) } ?? name
        }
    }

    /// Where the fixed source is taken from.
    package enum FixedSource: Sendable, Equatable, CustomStringConvertible {
        /// The upstream tarball of this upstream version, of whichever source version has it.
        case tarball(String)
        /// A source version of the distribution, with its patches applied.
        case source(String)

        package var description: String {
            switch self {
            case .tarball(let version): "the upstream tarball of \(version)"
            case .source(let version): "the source package \(version)"
            }
        }

        /// The version that is named.
        package var version: String {
            switch self {
            case .tarball(let version), .source(let version): version
            }
        }
    }

    /// One file of the fix.
    package struct File: Sendable, Equatable {
        /// Path from the root of the source tree.
        package var path: String
        /// Which changes of the file are meant.
        package var choice: Choice

        /// Makes it of its parts.
        package init(path: String, choice: Choice = .all) {
            self.path = path
            self.choice = choice
        }
    }

    /// Which changes of a file belong to the fix: a new version changes more than one thing.
    package enum Choice: Sendable, Equatable {
        /// All.
        case all
        /// These, counted from 1 as `diff` without context prints them; of a reformatted file as
        /// `ReformattedDiff` counts them.
        case hunks([Int])
        /// Those that lie in one of these functions, of the old text or of the new.
        case functions([String])
    }

    /// The source change.
    package enum Fix: Sendable, Equatable {
        /// These files, as they are in the fixed source.
        case files([File])
        /// These files of a fixed source whose formatting is another one: only what is not white space counts.
        case reformatted([File])
        /// These patches of `debian/patches` of the fixed source, applied in this order.
        case patches([String])
    }

    /// A source patch that the author has written, applied after the fix is in place: so that a layout or a table can
    /// stay as it is.
    package struct Adaptation: Sendable, Equatable {
        /// Its file name; it lies beside the recipe.
        package var name: String
        /// Where it lies.
        package var path: String
        /// Why the fix is not taken as it is, as a sentence.
        package var because: String

        /// Makes it of its parts.
        package init(name: String, path: String, because: String) {
            self.name = name
            self.path = path
            self.because = because
        }
    }

    /// Where the recipe stands.
    package var location: Location
    /// The holes that are closed; empty for a fix without an identifier.
    package var cves: [String]
    /// What is patched.
    package var target: ShippedObject
    /// Versions that have the hole, the preferred one first: shipped ones, or source versions to rebuild.
    package var vulnerable: [String]
    /// Patches of `debian/patches` of the vulnerable source that are left out to make the target; empty if the
    /// target is the shipped one.
    ///
    /// For a fix whose vulnerable binary is not offered any more: the target is then a rebuild, which nobody
    /// ships, and the live patch says so.
    package var rebuildWithout: [String]
    /// Where the fix comes from, the preferred one first.
    package var fixed: [FixedSource]
    /// The source change.
    package var fix: Fix
    /// A source patch of the author's on top of it; nil if it is taken as it is.
    package var adaptation: Adaptation?
    /// Reasons that the author answers for.
    package var waivers: [Waiver]
    /// Data that the author sets, in the order in which they are written.
    package var fixUps: [RequestedFixUp]
    /// What of the fix this is and is not; empty if it is the whole.
    package var partOf: String
    /// How the hole shows from outside; empty if that is not known.
    package var probe: String

    /// Makes a recipe of its parts.
    package init(
        location: Location, cves: [String], target: ShippedObject, vulnerable: [String],
        rebuildWithout: [String] = [], fixed: [FixedSource], fix: Fix, adaptation: Adaptation? = nil,
        waivers: [Waiver] = [], fixUps: [RequestedFixUp] = [], partOf: String = "", probe: String = ""
    ) {
        self.location = location
        self.cves = cves
        self.target = target
        self.vulnerable = vulnerable
        self.rebuildWithout = rebuildWithout
        self.fixed = fixed
        self.fix = fix
        self.adaptation = adaptation
        self.waivers = waivers
        self.fixUps = fixUps
        self.partOf = partOf
        self.probe = probe
    }
}
