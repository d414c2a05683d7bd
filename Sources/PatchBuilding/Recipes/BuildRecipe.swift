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
    /// Commands that configure, with the real compiler.
    package var prepare: [String]
    /// Commands that compile and link; these are watched.
    package var compile: [String]

    /// Makes a build recipe of its parts.
    package init(
        suite: String, source: String, compiler: String = "", buildPath: String = "", dependencies: [String] = [],
        environment: [String: String] = [:], prepare: [String], compile: [String]
    ) {
        self.suite = suite
        self.source = source
        self.compiler = compiler
        self.buildPath = buildPath
        self.dependencies = dependencies
        self.environment = environment
        self.prepare = prepare
        self.compile = compile
    }
}
