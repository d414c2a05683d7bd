//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// The directory where fetched files and surveyed builds are kept.
package struct Cache: Sendable, Equatable {
    /// Absolute path.
    package var directory: String

    /// Makes a cache at an absolute path; nothing is created yet.
    package init(directory: String) {
        self.directory = directory
    }

    /// `$MOULT_CACHE`, else `$XDG_CACHE_HOME/moult`, else `~/.cache/moult`.
    ///
    /// A relative path in a variable is ignored, as the XDG Base Directory Specification demands.
    package static func standard(environment: [String: String] = ProcessInfo.processInfo.environment) -> Cache {
        if let path = environment["MOULT_CACHE"], path.hasPrefix("/") { return Cache(directory: path) }
        if let path = environment["XDG_CACHE_HOME"], path.hasPrefix("/") { return Cache(directory: path + "/moult") }
        let home = environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/root"
        return Cache(directory: home + "/.cache/moult")
    }
}
