//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The first step of making a live patch, for those who want no more than it.
package enum ObjectMatching {
    /// Places the plain rebuilt objects in the shipped binary.
    ///
    /// - Parameters:
    ///   - objects: the objects in link order, where it is known; the more there are, the more tells
    ///     equal sections apart. Only `prePlain` is read.
    ///   - shipped: the whole file as the distribution ships it.
    /// - Throws: `PatchBuildingError` where a file is not what it should be.
    package static func place(
        _ objects: [RebuiltObject], in shipped: [UInt8]
    ) throws(PatchBuildingError) -> Placement {
        let binary = try ShippedBinary(shipped)
        var files: [ObjectFile] = []
        files.reserveCapacity(objects.count)
        for object in objects { files.append(try ObjectFile(name: object.name, bytes: object.prePlain)) }
        return try Matcher.place(files, in: binary, linkage: LinkageTable(binary))
    }
}
