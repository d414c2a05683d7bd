//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import Testing

/// What `sha256sum` says of bytes.
private func sha256sum(_ bytes: [UInt8]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
    let input = Pipe()
    let output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(bytes))
    try input.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return String(text.prefix(64))
}

private func digest(of bytes: [UInt8]) -> PatchDigest { SHA256.digest(of: bytes.span.bytes) }

@Suite struct SHA256Tests {
    /// Lengths around the block and padding boundaries of SHA-256 (55, 56, 63, 64, 65).
    @Test(arguments: [0, 1, 3, 55, 56, 63, 64, 65, 1000, 40_000])
    func agreesWithSHA256Sum(length: Int) throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ 7) }
        #expect(digest(of: bytes).hexadecimal == (try sha256sum(bytes)))
    }

    /// FIPS 180-4's own example.
    @Test func knownAnswer() {
        #expect(
            digest(of: Array("abc".utf8)).hexadecimal
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}

@Suite struct PatchDigestTests {
    @Test func hexadecimalBothWays() {
        let digest = digest(of: [1, 2, 3])
        #expect(PatchDigest(hexadecimal: digest.hexadecimal) == digest)
        #expect(PatchDigest(hexadecimal: digest.hexadecimal.uppercased()) == digest)
        #expect(PatchDigest(digest.bytes) == digest)
    }

    @Test func refusesWhatIsNoDigest() {
        let good = String(repeating: "0a", count: 32)
        #expect(PatchDigest(hexadecimal: good) != nil)
        #expect(PatchDigest(hexadecimal: String(good.dropLast())) == nil)
        #expect(PatchDigest(hexadecimal: String(good.dropLast(2))) == nil)
        #expect(PatchDigest(hexadecimal: good + "00") == nil)
        #expect(PatchDigest(hexadecimal: "g" + good.dropFirst()) == nil)
        #expect(PatchDigest([UInt8](repeating: 0, count: 31)) == nil)
    }
}

@Suite struct WholeFileTests {
    private let contents = Array("a patch".utf8)
    private var whole: [UInt8] { contents + digest(of: contents).bytes }

    @Test func acceptsAWholeFile() throws {
        #expect(try WholeFile.verify(whole.span.bytes) == digest(of: contents))
    }

    @Test func refusesEveryFlippedBit() {
        for index in whole.indices {
            for bit in 0..<8 {
                var damaged = whole
                damaged[index] ^= 1 << UInt8(bit)
                #expect(throws: ApprovalError.self) { try WholeFile.verify(damaged.span.bytes) }
            }
        }
    }

    @Test func refusesEveryLength() {
        for length in whole.indices {
            let cut = Array(whole[..<length])
            #expect(throws: ApprovalError.self) { try WholeFile.verify(cut.span.bytes) }
        }
        let longer = whole + [0]
        #expect(throws: ApprovalError.self) { try WholeFile.verify(longer.span.bytes) }
    }
}
