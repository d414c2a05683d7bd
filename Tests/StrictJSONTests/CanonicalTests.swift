//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import StrictJSON
import Testing

/// What python3 makes of JSON text: parsed with duplicate names refused, and written canonically again.
private func python(_ text: String) throws -> String {
    let program = """
        import json, sys
        def pairs(p):
            d = dict(p)
            assert len(d) == len(p), 'a name twice'
            return d
        v = json.load(sys.stdin, object_pairs_hook=pairs)
        def by_bytes(v):
            if isinstance(v, dict):
                return {k: by_bytes(v[k]) for k in sorted(v, key=lambda k: k.encode('utf-8'))}
            return [by_bytes(x) for x in v] if isinstance(v, list) else v
        sys.stdout.write(json.dumps(by_bytes(v), ensure_ascii=False, separators=(',', ':')))
        """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["PYTHONUTF8=1", "python3", "-c", program]
    let input = Pipe()
    let output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    try input.fileHandleForWriting.close()
    let answer = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return answer
}

private struct Generator {
    var state: UInt

    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt(bound))
    }

    mutating func string() -> String {
        var scalars = String.UnicodeScalarView()
        for _ in 0..<next(8) {
            let pools: [ClosedRange<UInt32>] = [0...0x7f, 0...0x1f, 0x80...0x7ff, 0x800...0xd7ff, 0x1_0000...0x1_ffff]
            let pool = pools[next(pools.count)]
            let value = pool.lowerBound + UInt32(next(Int(pool.upperBound - pool.lowerBound) + 1))
            if let scalar = Unicode.Scalar(value) { scalars.append(scalar) }
        }
        return String(scalars)
    }

    mutating func value(depth: Int) -> JSONValue {
        switch next(depth > 0 ? 6 : 4) {
        case 0: return .null
        case 1: return .bool(next(2) == 0)
        case 2: return .integer([Int.min, Int.max, 0, -1, Int(next(1 << 30))][next(5)])
        case 3: return .string(string())
        case 4: return .array((0..<next(5)).map { _ in value(depth: depth - 1) })
        default:
            var object = JSONObject()
            for _ in 0..<next(5) { object[string()] = value(depth: depth - 1) }
            return .object(object)
        }
    }
}

@Suite struct CanonicalTests {
    @Test func literalsAndEscapes() {
        let value: JSONValue = ["b": [1, -2, true, false, nil], "a": "q\"\\/\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}é"]
        #expect(
            value.canonicalText
                == "{\"a\":\"q\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f\u{7f}é\",\"b\":[1,-2,true,false,null]}")
    }

    /// Python's `json` writes the same bytes for the same values: 300 random values in one array.
    @Test func agreesWithPython() throws {
        var generator = Generator(state: 42)
        let value = JSONValue.array((0..<300).map { _ in generator.value(depth: 4) })
        let text = value.canonicalText
        let answer = try python(text)
        // As bytes: strings compare by canonical equivalence.
        #expect(Array(answer.utf8) == Array(text.utf8))
        #expect(text.utf8.count > 3000)
    }

    @Test func namesAreBytesAndUnique() {
        var object = JSONObject()
        object["e\u{301}"] = 1
        object["\u{e9}"] = 2
        object["z"] = 3
        object["z"] = 4
        #expect(object.members.map(\.value) == [1, 4, 2])
        #expect(object["\u{e9}"] == 2)
        object["z"] = nil
        #expect(object.members.count == 2)
        #expect(JSONValue.string("e\u{301}") != JSONValue.string("\u{e9}"))
    }

    @Test func orderOfInsertionDoesNotShow() {
        let one: JSONValue = ["a": 1, "b": 2, "c": 3]
        let other: JSONValue = ["c": 3, "a": 1, "b": 2]
        #expect(one == other)
        #expect(one.canonicalBytes == other.canonicalBytes)
    }
}
