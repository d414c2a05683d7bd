//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How the distribution builds the objects of one source package.
///
/// One file, `Recipes/<suite>/<source>/build.yaml`. Every command runs in `/bin/sh -e` in the root of the
/// unpacked tree with the distribution's patches applied. `{source}`, `{version}` and `{upstream}` stand for
/// the package, its version and the upstream part of it.
package struct BuildRecipe: Sendable, Equatable {
    /// A directory that the build copies before it compiles there.
    package struct Copy: Sendable, Equatable {
        /// The copy, from the root of the tree.
        package var directory: String
        /// What it is a copy of, from the root of the tree; empty for the root itself.
        package var original: String

        /// Makes it of its parts.
        package init(directory: String, original: String) {
            self.directory = directory
            self.original = original
        }
    }

    /// The distribution's suite.
    package var suite: String
    /// The source package.
    package var source: String
    /// The compiler as the distribution's builds name it: `(Debian 12.2.0-14+deb12u1) 12.2.0`. Used where
    /// the shipped binary does not say; empty if nothing is known.
    package var compiler: String
    /// Where the distribution built it. Some programs embed it; the flags are made for this path.
    package var buildPath: String
    /// Packages that must be installed.
    package var dependencies: [String]
    /// Variables that `debian/rules` sets, before `dpkg-buildflags` is asked.
    package var environment: [String: String]
    /// Directories that the build copies, so that a fix of a file is one of its copies too.
    package var copies: [Copy]
    /// Commands that configure, with the real compiler.
    package var prepare: [String]
    /// Commands that compile and link; these are watched.
    package var compile: [String]

    /// Makes a build recipe of its parts.
    package init(
        suite: String, source: String, compiler: String = "", buildPath: String = "", dependencies: [String] = [],
        environment: [String: String] = [:], copies: [Copy] = [], prepare: [String], compile: [String]
    ) {
        self.suite = suite
        self.source = source
        self.compiler = compiler
        self.buildPath = buildPath
        self.dependencies = dependencies
        self.environment = environment
        self.copies = copies
        self.prepare = prepare
        self.compile = compile
    }

    /// The places where the build can compile a file of the source: its own, then those of its copies.
    ///
    /// - Parameter path: from the root of the tree.
    package func places(of path: String) -> [String] {
        var places = [path]
        for copy in copies {
            if copy.original.isEmpty {
                places.append(copy.directory + "/" + path)
            } else if path.hasPrefix(copy.original + "/") {
                places.append(copy.directory + path.dropFirst(copy.original.utf8.count))
            }
        }
        return places
    }
}
