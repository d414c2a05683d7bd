//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How one frame's caller is found: the rules of one row of the call frame table (DWARF 5, section 6.4.1).
package struct FrameRules: Sendable {
    /// Where an expression's operations lie in `.eh_frame`.
    package struct Expression: Sendable, Equatable {
        /// Offset of the first operation.
        package var offset: UInt32
        /// Number of bytes.
        package var count: UInt32

        init(_ range: Range<Int>) {
            offset = UInt32(truncatingIfNeeded: range.lowerBound)
            count = UInt32(truncatingIfNeeded: range.count)
        }

        var range: Range<Int> { Int(offset)..<(Int(offset) + Int(count)) }
    }

    /// How the canonical frame address (CFA) is found.
    package enum CanonicalFrameAddress: Sendable, Equatable {
        /// No rule was given.
        case none
        /// Contents of a register plus a number of bytes.
        case register(UInt8, Int64)
        /// The value of an expression.
        case expression(Expression)
    }

    /// How a register of the caller is found.
    package enum Register: Sendable, Equatable {
        /// No rule was given: as it is (psABI: callee-saved registers), the stack pointer is the CFA.
        case unspecified
        /// It is lost. For the return address: this is the outermost frame.
        case undefined
        /// As it is.
        case sameValue
        /// In memory, this far from the CFA.
        case offset(Int64)
        /// It is the CFA plus a number of bytes.
        case valueOffset(Int64)
        /// In another register.
        case register(UInt8)
        /// In memory, where the expression says (the CFA is pushed first).
        case expression(Expression)
        /// The value of the expression (the CFA is pushed first).
        case valueExpression(Expression)
    }

    /// How the CFA is found.
    package var canonicalFrameAddress: CanonicalFrameAddress = .none
    private var registers: [17 of Register] = .init(repeating: .unspecified)

    /// Rules without any content.
    init() {}

    /// The rule of a register, by its DWARF number (psABI x86-64, figure 3.36); 16 is the return address.
    ///
    /// Numbers above 16 (vector registers) are not tracked: setting does nothing.
    package subscript(number: Int) -> Register {
        get { (0..<17).contains(number) ? registers[number] : .unspecified }
        set { if (0..<17).contains(number) { registers[number] = newValue } }
    }
}
