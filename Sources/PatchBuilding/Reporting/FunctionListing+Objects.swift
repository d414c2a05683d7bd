//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension FunctionListing {
    /// Every function that the fix changes, adds or removes, in the order of the objects and their sections.
    ///
    /// - Parameters:
    ///   - objects: the rebuilt objects.
    ///   - cache: where objdump's input is written meanwhile.
    /// - Throws: `PreparationError` with `systemFailed`, `PatchBuildingError` where an object is malformed.
    package static func listings(of objects: [RebuiltObject], cache: Cache = .standard()) async throws
        -> [FunctionListing]
    {
        let parent = cache.directory + "/scratch"
        try Files.makeDirectory(parent)
        let disassembler = Disassembler(scratch: parent)
        var result: [FunctionListing] = []
        for object in objects where object.pre != object.post {
            let diff = ObjectDiff(
                pre: try ObjectFile(name: object.name, bytes: object.pre),
                post: try ObjectFile(name: object.name, bytes: object.post))
            let functions = diff.changed + diff.added + diff.removed
            let before = try await disassembler.instructions(
                ofSections: names(functions.flatMap(\.pre), in: diff.pre.object), in: object.pre)
            let after = try await disassembler.instructions(
                ofSections: names(functions.flatMap(\.post), in: diff.post.object), in: object.post)
            for function in functions {
                result.append(
                    FunctionListing(
                        name: function.name, object: object.name,
                        before: function.pre.flatMap { before[diff.pre.object.sections[$0].name] ?? [] },
                        after: function.post.flatMap { after[diff.post.object.sections[$0].name] ?? [] }))
            }
        }
        return result
    }

    private static func names(_ sections: [Int], in object: ObjectFile) -> Set<String> {
        Set(sections.map { object.sections[$0].name })
    }
}
