//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// This version of the package.
package enum Release {
    /// The version as `--version` prints it (semver.org); CHANGELOG.md says what is in it.
    package static let version = "0.1.0"
}
