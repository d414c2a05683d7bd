//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch
import MachineCode

/// Whether the functions that a member replaces are in the process what the patch was built against.
package enum Fit: Sendable, Equatable {
    /// Nothing is applied there.
    case original
    /// The first bytes are a jump; where it leads to.
    case jump(UInt64)
}

extension MemberRequest {
    /// Compares one old function with what the patch was built against.
    ///
    /// - Parameters:
    ///   - entry: one of the patch's.
    ///   - bytes: what lies in the process: as many bytes as the function has.
    /// - Throws: `Refusal` (`alteredByOthers`).
    package func fit(of entry: Entry, bytes: [UInt8]) throws(Refusal) -> Fit {
        let expected = entry.expected.masking(entry.masked)
        let found = bytes.masking(entry.masked)
        if expected == found { return .original }
        if found.count == expected.count, found.count >= Jump.size,
            found[Jump.size...].elementsEqual(expected[Jump.size...]),
            let destination = Jump.destination(of: found, at: entry.address &+ loadBias)
        {
            return .jump(destination)
        }
        throw Refusal(
            .alteredByOthers,
            "\(entry.name) in \(patch.target.name) is not what \(patch.identifier) was built against.",
            remedy: "Find out what else changes this process (another live-patching tool, a debugger); restart it.")
    }
}
