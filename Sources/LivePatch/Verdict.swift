//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The builder's judgement of a live patch.
///
/// Only `automatic` and `quiescent` make a patch that can be applied; the reader refuses any other in
/// a file, so a patch under review cannot be applied by mistake.
package enum Verdict: Sendable, Equatable {
    /// Any mixture of old and new functions is safe by definition: only threads inside overwritten
    /// bytes matter.
    case automatic
    /// Safe only when no old function is on any stack at the moment of the switch.
    case quiescent
}
