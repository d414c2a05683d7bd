//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// What came of a fix for one target.
package struct Outcome: Sendable {
    /// One function that is replaced or added.
    package struct Function: Sendable, Equatable {
        /// Name in the rebuilt object.
        package var name: String
        /// The rebuilt object it belongs to.
        package var object: String
        /// Target-relative address of the old function; nil for an added one.
        package var address: UInt64?
        /// Size of the old function in bytes; nil for an added one.
        package var sizeBefore: UInt64?
        /// Size of the new function in bytes; nil for a removed one.
        package var sizeAfter: UInt64?

        /// Makes a line of the report.
        package init(name: String, object: String, address: UInt64?, sizeBefore: UInt64?, sizeAfter: UInt64?) {
            self.name = name
            self.object = object
            self.address = address
            self.sizeBefore = sizeBefore
            self.sizeAfter = sizeAfter
        }
    }

    /// A waiver and the reasons that it answers for.
    package struct Waived: Sendable, Equatable {
        /// What the author says.
        package var waiver: Waiver
        /// What hinders no more because of it.
        package var reasons: [Reason]

        /// Makes it of its parts.
        package init(waiver: Waiver, reasons: [Reason]) {
            self.waiver = waiver
            self.reasons = reasons
        }
    }

    /// The verdict and the reasons for it.
    package var judgement: Judgement
    /// The functions concerned, sorted by object and name.
    package var functions: [Function]
    /// What the fix changes in the layouts of types, sorted by kind, name and object. Each is a reason too.
    package var layoutChanges: [LayoutChange]
    /// The live patch; nil unless the judgement is automatic or quiescent.
    package var patch: Patch?
    /// The reasons that the author answers for, in the recipe's order.
    package var waived: [Waived]

    /// Makes an outcome of its parts.
    package init(
        judgement: Judgement, functions: [Function], patch: Patch?, layoutChanges: [LayoutChange] = [],
        waived: [Waived] = []
    ) {
        self.judgement = judgement
        self.functions = functions
        self.patch = patch
        self.layoutChanges = layoutChanges
        self.waived = waived
    }
}
