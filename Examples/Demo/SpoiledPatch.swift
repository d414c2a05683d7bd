//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import FoundationEssentials
import LivePatch

/// Makes a live patch that is in order in every way but fixes nothing: to show that the demo notices.
enum SpoiledPatch {
    /// Changes one byte of what the first live patch's first function does, and writes the file anew with a digest
    /// that fits.
    static func spoil(_ patches: [BuiltPatch]) throws(DemoError) {
        guard let first = patches.first else {
            throw DemoError(code: .failed, reason: "there is no live patch to spoil")
        }
        do {
            let file = Array(try Data(contentsOf: URL(filePath: first.file)))
            _ = try WholeFile.verify(file.span.bytes)
            var patch = try PatchReader.read(file.span.bytes)
            guard let entry = patch.entries.first,
                let place = condition(
                    in: patch.image.code, from: Int(entry.replacement), count: Int(entry.replacementSize))
            else { throw DemoError(code: .failed, reason: "\(first.file) has no condition that can be spoiled") }
            patch.image.code[place] &= 0xf0
            let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
            try Data(bytes).write(to: URL(filePath: first.file))
            print("  spoiled on purpose: byte \(place) of \(first.fix.identifier), in \(entry.name)")
        } catch let error as DemoError {
            throw error
        } catch {
            throw DemoError(code: .failed, reason: "\(first.file) cannot be spoiled: \(error)")
        }
    }

    /// The condition byte of the first jump that is taken if a pointer is null: `test r64, r64` with `je`.
    ///
    /// With the low four bits cleared, the `je` (74, or 0F 84) is a `jo` (70, or 0F 80), which is never taken there:
    /// `test` clears the overflow flag.
    static func condition(in code: [UInt8], from start: Int, count: Int) -> Int? {
        guard start >= 0, count >= 9, start + count <= code.count else { return nil }
        for place in start..<(start + count - 8) {
            let (prefix, opcode, operands) = (code[place], code[place + 1], code[place + 2])
            // 48 or 4D: REX.W, with both operands in the same half of the registers; mod 3, the same register twice.
            guard prefix == 0x48 || prefix == 0x4d, opcode == 0x85, operands >> 6 == 3,
                operands & 7 == (operands >> 3) & 7
            else { continue }
            if code[place + 3] == 0x74 { return place + 3 }
            if code[place + 3] == 0x0f, code[place + 4] == 0x84 { return place + 4 }
        }
        return nil
    }
}
