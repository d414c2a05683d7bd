//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import ProcessControl

/// How a process is patched.
package struct PatchingOptions: Sendable {
    /// How long to try while threads are in the way, in nanoseconds.
    package var timeout: Int64 = 10_000_000_000
    /// Whether to check everything and change nothing.
    package var isDryRun = false
    /// How long a single stop may take.
    package var limits = ControlledProcess.Limits()

    /// The defaults: 10 seconds.
    package init() {}
}
