//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

/// A generator of numbers that gives the same ones each time.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// Live patches that are valid and otherwise arbitrary.
struct PatchGenerator {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func coin() -> Bool { Bool.random(using: &random) }
    private mutating func bytes(_ range: ClosedRange<Int>) -> [UInt8] {
        (0..<number(range)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private mutating func text() -> String {
        String((0..<number(0...20)).map { _ in "abcXYZ019 .:_-/ä€漢😀\u{301}".randomElement(using: &random) ?? "a" })
    }

    private mutating func identifier() -> String {
        "CVE-\(number(1999...2099))-\(number(1...999_999))"
    }

    private mutating func sorted(_ count: ClosedRange<Int>) -> [String] {
        var list: [String] = []
        for _ in 0..<number(count) { list.append(identifier()) }
        return Set(list).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    mutating func patch() -> Patch {
        var code: [UInt8] = []
        var entries: [Entry] = []
        var address = UInt64(number(0...1 << 24))
        for index in 0..<number(1...4) {
            let expected = bytes(5...80)
            let replacement = bytes(1...60)
            code += bytes(0...9)
            let offset = code.count
            code += replacement
            let prologue = prologue(within: expected.count)
            var gate: Gate?
            if coin() {
                let size = number(2...40)
                gate = Gate(
                    offset: UInt32(code.count), size: UInt32(size), original: UInt32(code.count + number(1...size - 1)))
                code += bytes(size...size)
            }
            entries.append(
                Entry(
                    name: "function\(index)" + text(), address: address, expected: expected,
                    masked: masks(from: prologue.reduce(0) { $0 + Int($1) }, to: expected.count), prologue: prologue,
                    replacement: UInt32(offset), replacementSize: UInt32(replacement.count), gate: gate))
            address += UInt64(expected.count + number(0...10_000))
        }
        var image = Image(
            code: code, constants: [UInt8](repeating: 0, count: 8) + bytes(0...40), unwind: bytes(0...60),
            relocations: [])
        image.relocations = relocations(of: image)
        let adaptation = coin() ? Provenance.Adaptation(name: identifier(), because: "because" + text()) : nil
        let inputs = adaptation.map { ["sha256:0 " + $0.name] } ?? sorted(0...4)
        let verdict: Verdict = coin() ? .automatic : .quiescent
        let fixUps = verdict == .quiescent ? fixUps(behind: address, image: image) : []
        return Patch(
            identifier: identifier(),
            target: Target(
                buildID: bytes(8...64), name: text(), package: text(), packageVersion: text(), machine: 62),
            provenance: Provenance(
                cves: sorted(0...3), partOf: text(), source: text(), suite: text(), vulnerableVersion: text(),
                fixedVersion: text(), reasons: (0..<number(0...3)).map { _ in text() }, waivers: waivers(),
                adaptation: adaptation, inputs: inputs),
            verdict: verdict, entries: entries, fixUps: fixUps, image: image, symbols: symbols(of: image),
            requires: Array(sorted(0...3).reversed().map { $0 + "/other" }))
    }

    private mutating func waivers() -> [Provenance.Waiver] {
        (0..<number(0...3)).map { index in
            Provenance.Waiver(
                reason: "reason\(index)" + text(), object: text(), subject: "subject" + text(),
                use: [nil, .old, .new][number(0...2)], because: "because" + text())
        }
    }

    private mutating func fixUps(behind end: UInt64, image: Image) -> [FixUp] {
        var result: [FixUp] = []
        var address = (end + 7) & ~7
        for index in 0..<number(0...4) {
            let size = FixUp.Size.allCases[number(0...3)]
            let from = UInt64(number(0...200))
            var values = (FixUp.Value.number(from), FixUp.Value.number(from + UInt64(number(1...50))))
            if size == .eight, coin() {
                values.0 = .address(.target(UInt64(number(0...1 << 24))))
                if coin() { values.1 = .address(.image(UInt32(number(0...image.code.count - 1)))) }
            }
            result.append(
                FixUp(
                    name: "datum\(index)" + text(), address: address, size: size, from: values.0, to: values.1,
                    because: "because" + text()))
            address += UInt64(number(1...100)) * 8
        }
        // Their order is the author's.
        return coin() ? result : result.reversed()
    }

    private mutating func prologue(within size: Int) -> [UInt8] {
        var lengths: [UInt8] = []
        var covered = 0
        while covered < 5 {
            let length = number(1...min(15, size - covered))
            // What is left must have room for the rest of the five bytes.
            lengths.append(UInt8(length))
            covered += length
        }
        return lengths
    }

    private mutating func masks(from start: Int, to end: Int) -> [MaskedRange] {
        var masks: [MaskedRange] = []
        var position = start + number(0...10)
        while position < end, coin() {
            let length = number(1...min(8, end - position))
            masks.append(MaskedRange(offset: UInt32(position), length: UInt32(length)))
            position += length + number(0...10)
        }
        return masks
    }

    private mutating func place(in image: Image) -> Relocation.Destination {
        if coin() { return .target(UInt64(number(0...1 << 24))) }
        let starts = [(0, image.code.count), (image.constantsOffset, image.constants.count)]
        let (start, count) = starts[number(0...1)]
        return .image(UInt32(start + number(0...count - 1)))
    }

    private mutating func relocations(of image: Image) -> [Relocation] {
        var result: [Relocation] = []
        let parts = [
            (0, image.code.count), (image.constantsOffset + 8, image.constantsOffset + image.constants.count),
            (image.unwindOffset, image.size),
        ]
        for (start, end) in parts {
            var position = start + number(0...10)
            while true {
                let kind: Relocation.Kind = coin() ? .relative32 : .absolute64
                guard position + kind.size <= end else { break }
                result.append(
                    Relocation(
                        offset: UInt32(position), kind: kind, destination: place(in: image),
                        addend: coin() ? -4 : Int64.random(in: .min ... .max, using: &random)))
                position += kind.size + number(0...12)
            }
        }
        return result
    }

    private mutating func symbols(of image: Image) -> [Symbol] {
        (0..<number(0...6)).map { index in
            Symbol(name: "symbol\(index)" + text(), place: place(in: image), size: UInt64(number(0...1)))
        }
    }
}
