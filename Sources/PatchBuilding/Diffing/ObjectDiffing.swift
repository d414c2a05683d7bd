//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The comparison of two builds of one object, for those who want no more than it.
package enum ObjectDiffing {
    /// Names of the functions and data that differ, sorted; empty if nothing does.
    ///
    /// - Parameters:
    ///   - pre: an object with a section for each function and datum.
    ///   - post: the same from other source.
    ///   - name: the object's name, for errors.
    /// - Throws: `PatchBuildingError` where one is not a relocatable object.
    package static func differences(
        pre: [UInt8], post: [UInt8], name: String
    ) throws(PatchBuildingError) -> [String] {
        let diff = ObjectDiff(
            pre: try ObjectFile(name: name, bytes: pre), post: try ObjectFile(name: name, bytes: post))
        var names = (diff.changed + diff.added + diff.removed).map(\.name)
        names += (diff.changedData + diff.removedData).compactMap { diff.pre.items[$0]?.name }
        names += diff.addedData.compactMap { diff.post.items[$0]?.name }
        return (names + diff.movedNames).sorted()
    }
}
