//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A JSON value to be written (RFC 8259). Members keep the order they are given in, so the same result is
/// the same bytes.
package enum JSONValue: Sendable, Equatable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A whole number. Numbers beyond 2^53 (addresses, times) are written as strings by convention.
    case integer(Int)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object; names are not checked for repetition.
    case object([Member])

    /// One member of an object.
    package struct Member: Sendable, Equatable {
        /// The member's name.
        package var name: String
        /// The member's value.
        package var value: JSONValue

        /// Makes a member.
        package init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The value as text, indented by two blanks per level, without a newline at the end.
    package var text: String {
        var result = ""
        write(to: &result, indentation: 0)
        return result
    }

    private func write(to result: inout String, indentation: Int) {
        switch self {
        case .null: result += "null"
        case .bool(let value): result += value ? "true" : "false"
        case .integer(let value): result += String(value)
        case .string(let value): Self.write(value, to: &result)
        case .array(let values):
            if values.isEmpty {
                result += "[]"
                return
            }
            result += "["
            for (index, value) in values.enumerated() {
                Self.newLine(to: &result, after: index, indentation: indentation + 1)
                value.write(to: &result, indentation: indentation + 1)
            }
            Self.newLine(to: &result, after: 0, indentation: indentation)
            result += "]"
        case .object(let members):
            if members.isEmpty {
                result += "{}"
                return
            }
            result += "{"
            for (index, member) in members.enumerated() {
                Self.newLine(to: &result, after: index, indentation: indentation + 1)
                Self.write(member.name, to: &result)
                result += ": "
                member.value.write(to: &result, indentation: indentation + 1)
            }
            Self.newLine(to: &result, after: 0, indentation: indentation)
            result += "}"
        }
    }

    private static func newLine(to result: inout String, after index: Int, indentation: Int) {
        result += index > 0 ? ",\n" : "\n"
        for _ in 0..<indentation { result += "  " }
    }

    /// RFC 8259, section 7: quotation mark, reverse solidus and control characters are escaped. U+007F to
    /// U+009F are escaped too, because documents are looked at on terminals.
    private static func write(_ string: String, to result: inout String) {
        result += "\""
        for scalar in string.unicodeScalars {
            switch scalar.value {
            case 0x22: result += "\\\""
            case 0x5c: result += "\\\\"
            case 0x0a: result += "\\n"
            case 0x09: result += "\\t"
            case 0x0d: result += "\\r"
            case 0..<0x20, 0x7f..<0xa0:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        result += "\""
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Makes a string.
    package init(stringLiteral value: String) { self = .string(value) }
    /// Makes a number.
    package init(integerLiteral value: Int) { self = .integer(value) }
    /// Makes a truth value.
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Makes an array.
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// Makes an object.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
}
