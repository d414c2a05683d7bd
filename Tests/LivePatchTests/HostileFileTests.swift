//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import ELF
import LivePatch
import Testing

/// Files that are not what a writer wrote.
@Suite struct HostileFileTests {
    private let file: [UInt8]

    init() throws { file = try write(Example.patch) }

    /// Every byte flipped in three ways: the digest refuses it.
    @Test func digestRefusesEveryFlippedByte() {
        for index in file.indices {
            for flip: UInt8 in [0x01, 0x80, 0xff] {
                var damaged = file
                damaged[index] ^= flip
                #expect(throws: ApprovalError.self) { try WholeFile.verify(damaged.span.bytes) }
            }
        }
    }

    /// The same with the digest made right again: the reader refuses it, or it is another patch, whole and
    /// well-formed, whose one and only file this is.
    @Test func readerMeansEveryByte() throws {
        var refused = 0
        var others = 0
        for index in file.indices.dropLast(32) {
            for flip: UInt8 in [0x01, 0x02, 0x80, 0xff] {
                var damaged = file
                damaged[index] ^= flip
                damaged = redigested(damaged)
                switch Result(catching: { () throws(PatchFormatError) in try read(damaged) }) {
                case .success(let patch):
                    #expect(patch != Example.patch, "byte \(index) has no meaning")
                    #expect(try write(patch) == damaged)
                    try patch.validate()
                    others += 1
                case .failure(let error):
                    #expect(!error.reason.isEmpty)
                    refused += 1
                }
            }
        }
        // Both happen: code bytes are free, headers are not.
        #expect(refused > 1000)
        #expect(others > 100)
    }

    @Test func everyLengthIsRefused() {
        for length in 0..<file.count {
            let cut = Array(file[..<length])
            let error = #expect(throws: ApprovalError.self) { try WholeFile.verify(cut.span.bytes) }
            // Cut short is another reason than damaged, as soon as the bytes begin as an ELF file does.
            #expect(error?.code == .truncated || length < 64)
            #expect(throws: PatchFormatError.self) { try read(cut) }
            if length >= 32 {
                #expect(throws: PatchFormatError.self) { try read(redigested(cut)) }
            }
        }
        #expect(throws: PatchFormatError.self) { try read(redigested(file + [0])) }
    }

    /// Many bytes changed at once, in random patches: nothing traps, nothing is read that is not canonical.
    @Test func randomDamage() throws {
        var random = SeededGenerator(seed: 7)
        for seed in 0..<60 as Range<UInt64> {
            var generator = PatchGenerator(seed: seed)
            let file = try write(generator.patch())
            for _ in 0..<50 {
                var damaged = file
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    damaged[Int.random(in: 0..<file.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if let patch = try? read(damaged) {
                    #expect(try write(patch).dropLast(32) == damaged.dropLast(32))
                }
            }
        }
    }

    @Test func otherFilesAreNoPatches() throws {
        #expect(throws: PatchFormatError.self) { try read([]) }
        #expect(throws: PatchFormatError.self) { try read(Array("#!/bin/sh\n".utf8)) }
        do throws(PatchFormatError) {
            _ = try read(Array("hello".utf8))
            Issue.record("read a text as a patch")
        } catch {
            #expect(error.code == .notPatch)
        }
        do throws(PatchFormatError) {
            _ = try read([UInt8](repeating: 0, count: PatchFormat.maximumFileSize + 1))
            Issue.record("read a file that is too large")
        } catch {
            #expect(error.code == .tooLarge)
        }
    }

    /// Replaces text in the file by other text of the same length.
    private func replacing(_ old: String, _ new: String) throws -> [UInt8] {
        let pattern = Array(old.utf8)
        let start = try #require(
            file.indices.first { file[$0...].starts(with: pattern) }, "the file does not hold \(old)")
        var changed = file
        changed.replaceSubrange(start..<start + pattern.count, with: new.utf8)
        #expect(changed.count == file.count)
        return redigested(changed)
    }

    private func code(of file: [UInt8]) -> PatchFormatError.Code? {
        do throws(PatchFormatError) {
            _ = try read(file)
            return nil
        } catch {
            return error.code
        }
    }

    /// Records that share their bytes would let a small file fill the memory.
    @Test func entriesShareNoBytes() throws {
        let name = Array("answer\0\0".utf8) + Example.old
        let start = try #require(file.indices.first { file[$0...].starts(with: name) })
        let record = start - 64
        var greedy = file
        greedy[record + 8] = 0x5c  // as many expected bytes as the section has
        greedy[record + 12] = 0  // from its start
        #expect(code(of: redigested(greedy)) == .malformed)
        do throws(PatchFormatError) {
            _ = try read(redigested(greedy))
        } catch {
            #expect(error.underlying?.reason == "its records name more bytes than there are")
        }
    }

    @Test func refusesByReason() throws {
        #expect(code(of: try replacing("quiescent", "reviewed!")) == .malformed)
        #expect(code(of: try replacing("answer_1.0", "answer\n1.0")) == .inconsistent)
        #expect(code(of: try replacing("answer\0", "answe\u{1b}\0")) == .inconsistent)
        #expect(code(of: try replacing(".moult.target", ".moult.tarjet")) == .notPatch)
        #expect(code(of: try replacing("moult\0", "moulT\0")) == .malformed)
        // Not UTF-8: becomes U+FFFD, which has other bytes.
        let libanswer = try #require(file.indices.first { file[$0...].starts(with: Array("libanswer1".utf8)) })
        var latin = file
        latin[libanswer] = 0xe9
        #expect(code(of: redigested(latin)) == .notCanonical)
        // e_machine.
        var other = file
        other[18] = 183
        #expect(code(of: redigested(other)) == .unsupportedMachine)
        // The version of the format: descriptor of the first note, behind 12 bytes and the owner's 8.
        let owner = try #require(file.indices.first { file[$0...].starts(with: Array("moult\0".utf8)) })
        var later = file
        later[owner + 8] = 2
        #expect(code(of: redigested(later)) == .unsupportedVersion)
    }
}
