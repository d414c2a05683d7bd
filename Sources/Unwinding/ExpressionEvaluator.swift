//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Evaluates DWARF expressions of call frame rules (DWARF 5, sections 2.5.1 and 6.4.2).
struct ExpressionEvaluator<Memory: MemoryReader> {
    let bytes: [UInt8]
    let registers: RegisterValues
    let memory: Memory
    private var stack: [UInt64] = []

    /// More operations than any rule needs; branches backwards could otherwise go on for ever.
    private static var stepLimit: Int { 1000 }
    private static var depthLimit: Int { 64 }

    init(bytes: [UInt8], registers: RegisterValues, memory: Memory) {
        self.bytes = bytes
        self.registers = registers
        self.memory = memory
    }

    /// - Parameter initial: pushed first: the CFA, for registers' rules.
    mutating func value(of expression: FrameRules.Expression, initial: UInt64?) throws(UnwindError) -> UInt64 {
        stack.removeAll(keepingCapacity: true)
        if let initial { stack.append(initial) }
        var cursor = try ByteCursor(bytes, expression.range)
        var steps = 0
        while !cursor.isAtEnd {
            steps += 1
            guard steps <= Self.stepLimit, stack.count <= Self.depthLimit else {
                throw UnwindError(.limitExceeded, "An expression takes too many steps.", at: cursor.position)
            }
            try execute(&cursor, start: expression.range.lowerBound)
        }
        return try pop(cursor)
    }

    private mutating func execute(_ cursor: inout ByteCursor, start: Int) throws(UnwindError) {
        let offset = cursor.position
        let operation = try cursor.byte()
        switch operation {
        case 0x03, 0x0E: stack.append(try cursor.unsigned(8))
        case 0x08: stack.append(try cursor.unsigned(1))
        case 0x09: push(try cursor.signed(1))
        case 0x0A: stack.append(try cursor.unsigned(2))
        case 0x0B: push(try cursor.signed(2))
        case 0x0C: stack.append(try cursor.unsigned(4))
        case 0x0D: push(try cursor.signed(4))
        case 0x0F: push(try cursor.signed(8))
        case 0x10: stack.append(try cursor.uleb128())
        case 0x11: push(try cursor.sleb128())
        case 0x30...0x4F: stack.append(UInt64(operation - 0x30))
        case 0x70...0x8F: try pushRegister(UInt64(operation - 0x70), try cursor.sleb128(), offset)
        case 0x92:
            let register = try cursor.uleb128()
            try pushRegister(register, try cursor.sleb128(), offset)
        case 0x06: try dereference(8, cursor)
        case 0x94: try dereference(Int(try cursor.byte()), cursor)
        case 0x23: stack.append(try pop(cursor) &+ (try cursor.uleb128()))
        case 0x28:  // DW_OP_bra
            let distance = Int(try cursor.signed(2))
            if try pop(cursor) != 0 { try cursor.move(to: cursor.position + distance, from: start) }
        case 0x2F:  // DW_OP_skip
            let distance = Int(try cursor.signed(2))
            try cursor.move(to: cursor.position + distance, from: start)
        case 0x96: break
        case 0x12...0x17: try rearrange(operation, &cursor)
        case 0x19, 0x1F, 0x20:
            let value = Int64(bitPattern: try pop(cursor))
            push(operation == 0x20 ? ~value : operation == 0x1F || value < 0 ? 0 &- value : value)
        case 0x1A...0x1E, 0x21, 0x22, 0x24...0x27, 0x29...0x2E:
            let top = try pop(cursor)
            stack.append(try combine(operation, try pop(cursor), top, offset))
        default:
            throw UnwindError(.unsupportedOperation, "An operation of an expression is not understood.", at: offset)
        }
    }

    /// `DW_OP_dup`, `drop`, `over`, `pick`, `swap`, `rot`.
    private mutating func rearrange(_ operation: UInt8, _ cursor: inout ByteCursor) throws(UnwindError) {
        switch operation {
        case 0x12: stack.append(try element(0, cursor))
        case 0x13: _ = try pop(cursor)
        case 0x14: stack.append(try element(1, cursor))
        case 0x15:
            let index = Int(try cursor.byte())
            stack.append(try element(index, cursor))
        case 0x16:
            let (top, second) = (try pop(cursor), try pop(cursor))
            stack += [top, second]
        default:
            let (top, second, third) = (try pop(cursor), try pop(cursor), try pop(cursor))
            stack += [top, third, second]
        }
    }

    /// The operations of two operands; comparisons and division are signed, the remainder is not (as the
    /// unwinder of GCC has it).
    private func combine(
        _ operation: UInt8, _ left: UInt64, _ right: UInt64, _ offset: Int
    ) throws(UnwindError) -> UInt64 {
        let signedLeft = Int64(bitPattern: left)
        let signedRight = Int64(bitPattern: right)
        switch operation {
        case 0x1A: return left & right
        case 0x1B, 0x1D:
            guard right != 0 else { throw UnwindError(.malformed, "An expression divides by zero.", at: offset) }
            if operation == 0x1D { return left % right }
            return UInt64(bitPattern: signedLeft.dividedReportingOverflow(by: signedRight).partialValue)
        case 0x1C: return left &- right
        case 0x1E: return left &* right
        case 0x21: return left | right
        case 0x22: return left &+ right
        case 0x24: return right < 64 ? left << right : 0
        case 0x25: return right < 64 ? left >> right : 0
        case 0x26: return UInt64(bitPattern: signedLeft >> Int64(min(right, 63)))
        case 0x27: return left ^ right
        case 0x29: return left == right ? 1 : 0
        case 0x2A: return signedLeft >= signedRight ? 1 : 0
        case 0x2B: return signedLeft > signedRight ? 1 : 0
        case 0x2C: return signedLeft <= signedRight ? 1 : 0
        case 0x2D: return signedLeft < signedRight ? 1 : 0
        default: return left != right ? 1 : 0
        }
    }

    private mutating func push(_ value: Int64) {
        stack.append(UInt64(bitPattern: value))
    }

    private mutating func pushRegister(_ number: UInt64, _ offset: Int64, _ place: Int) throws(UnwindError) {
        guard let number = Int(exactly: number), let value = registers[number] else {
            throw UnwindError(.unknownRegister, "An expression needs a register that is not known.", at: place)
        }
        stack.append(value &+ UInt64(bitPattern: offset))
    }

    private mutating func dereference(_ count: Int, _ cursor: ByteCursor) throws(UnwindError) {
        let address = try pop(cursor)
        guard let value = memory.load(address, count: count) else {
            throw UnwindError(.unreadableMemory, "An expression reads memory that cannot be read.", at: address)
        }
        stack.append(value)
    }

    private mutating func pop(_ cursor: ByteCursor) throws(UnwindError) -> UInt64 {
        guard let value = stack.popLast() else { throw empty(cursor) }
        return value
    }

    private func element(_ depth: Int, _ cursor: ByteCursor) throws(UnwindError) -> UInt64 {
        guard depth < stack.count else { throw empty(cursor) }
        return stack[stack.count - 1 - depth]
    }

    private func empty(_ cursor: ByteCursor) -> UnwindError {
        UnwindError(.malformed, "An expression takes more values than there are.", at: cursor.position)
    }
}
