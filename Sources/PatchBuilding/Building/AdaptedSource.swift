//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The author's source patch on top of a fix.
///
/// The fix is put in place first, with the hunks that the recipe chooses and without `#line`; then the patch is
/// applied. What comes out is compared with the vulnerable source like any other fix, so line numbers are kept, and a
/// file that the patch brings back to what it was is touched no more.
struct AdaptedSource {
    /// The author's patch.
    let adaptation: Recipe.Adaptation
    /// Its contents.
    private let patch: [UInt8]

    /// Reads the patch.
    ///
    /// - Throws: `PreparationError` with `patchDoesNotApply` if it cannot be read.
    init(_ adaptation: Recipe.Adaptation) throws(PreparationError) {
        self.adaptation = adaptation
        do {
            patch = try Files.read(adaptation.path)
        } catch {
            throw PreparationError(
                .patchDoesNotApply, "\(adaptation.path), which the recipe names, cannot be read", details: error.details
            )
        }
    }

    /// The patch as an input: its name and digest.
    ///
    /// - Throws: `PreparationError` with `systemFailed`.
    func input(scratch: String) async throws(PreparationError) -> Offer.Input {
        // The same bytes that are applied, even if the file beside the recipe changes meanwhile.
        let copy = try place(scratch)
        let output = try await Command("sha256sum", ["--", copy]).succeed(or: .systemFailed, "computing a digest")
        return Offer.Input(name: adaptation.name, sha256: String(decoding: output.prefix(64), as: UTF8.self))
    }

    /// Changes the sources of a fix.
    ///
    /// - Parameters:
    ///   - contents: the fixed sources, by their paths from the root of the tree.
    ///   - chosen: for some of them, which hunks are meant.
    ///   - old: gives a file of the vulnerable tree; nil if there is none.
    ///   - scratch: a directory for it.
    /// - Returns: the sources that are to be compiled and differ from the vulnerable ones.
    /// - Throws: `PreparationError`: `patchDoesNotApply`, naming the file.
    func apply(
        to contents: [String: [UInt8]], choosing chosen: [String: Recipe.Choice],
        old: (String) throws(PreparationError) -> [UInt8]?, scratch: String
    ) async throws(PreparationError) -> [String: [UInt8]] {
        let copy = try place(scratch)
        let touched: [String]
        do {
            touched = try SourceTree.filesTouched(by: copy)
        } catch {
            throw PreparationError(error.code, "\(adaptation.path): \(error.reason)", details: error.details)
        }
        guard !touched.isEmpty else {
            throw PreparationError(.patchDoesNotApply, "\(adaptation.path) is no unified diff, or touches no file")
        }
        let tree = try Files.makeTemporary(in: scratch, "adapted")
        for path in Set(contents.keys).union(touched).sorted() {
            let before = try old(path)
            guard var text = contents[path] ?? before else { continue }
            if let before, let choice = chosen[path], choice != .all {
                let diff = try await SourceDiff(old: before, new: text, scratch: scratch)
                let numbers = try diff.hunks(choice, of: path)
                // The numbers are checked where all fixes are.
                _ = try LineDirectives.fixed(diff, chosen: numbers)
                text = diff.text(choosing: numbers)
            }
            try Files.makeDirectory("\(tree)/" + path.split(separator: "/").dropLast().joined(separator: "/"))
            try Files.write(text, to: "\(tree)/\(path)")
        }
        do {
            try await SourceTree.apply(copy, to: tree)
        } catch {
            throw PreparationError(
                error.code, "\(adaptation.path) does not apply to the fixed source", details: error.details)
        }
        var result: [String: [UInt8]] = [:]
        for path in Set(contents.keys).union(touched) {
            let text = try Files.read("\(tree)/\(path)")
            // What is as it was is no longer part of the fix.
            if try old(path) != text { result[path] = text }
        }
        guard !result.isEmpty else {
            throw PreparationError(.nothingToFix, "\(adaptation.path) takes all of the fix back")
        }
        return result
    }

    private func place(_ scratch: String) throws(PreparationError) -> String {
        let copy = "\(try Files.makeTemporary(in: scratch, "adaptation"))/\(adaptation.name)"
        try Files.write(patch, to: copy)
        return copy
    }
}
