//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Makes a live patch that is in order in every way but fixes nothing: to show that the demo notices.
enum SpoiledPatch {
    /// Spoils one byte of one of the patches.
    static func spoil(_ patches: [BuiltPatch]) throws(DemoError) {
        throw DemoError(code: .missing, reason: "patches cannot be spoiled yet")
    }
}
