//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Follows the frames of stopped threads by the rules of `.eh_frame`.
///
/// One for all threads of a process: it remembers the rules of addresses that it met (the tables must
/// therefore stay the same; what it was told of an address holds as long as it lives).
package struct Unwinder<Memory: MemoryReader, Tables: FrameTableProvider> {
    /// Where stack words are read.
    package var memory: Memory
    /// The rules of what is mapped.
    package let tables: Tables
    /// Most frames of a backtrace.
    package var frameLimit: Int
    private var cache = RuleCache()

    /// One frame's caller.
    package struct Step: Sendable {
        /// The frame's canonical frame address.
        package var canonicalFrameAddress: UInt64
        /// Whether the kernel made the frame to deliver a signal; the caller was then interrupted, not left
        /// by a call.
        package var isSignalFrame: Bool
        /// The caller's registers, nil when the frame is the outermost.
        package var caller: RegisterValues?
    }

    /// Makes an unwinder.
    package init(memory: Memory, tables: Tables, frameLimit: Int = 1024) {
        self.memory = memory
        self.tables = tables
        self.frameLimit = frameLimit
    }

    /// Follows a thread's frames to the end.
    ///
    /// - Parameter registers: the thread's registers; at least `rip` and `rsp`.
    package mutating func unwind(_ registers: RegisterValues) -> Backtrace {
        var frames: [Backtrace.Frame] = []
        frames.reserveCapacity(max(0, min(frameLimit, 32)))
        var current = registers
        var isReturnAddress = false
        // What the next CFA must lie above: the stack pointer, then each CFA.
        var floor = registers[.rsp] ?? 0
        while true {
            guard let instructionPointer = current[.rip] else {
                let error = UnwindError(.unknownRegister, "The instruction pointer is not known.", at: 0 as UInt64)
                return Backtrace(frames: frames, ending: .incomplete(error))
            }
            guard frames.count < frameLimit else {
                let error = UnwindError(.limitExceeded, "There are more frames than allowed.", at: floor)
                return Backtrace(frames: frames, ending: .incomplete(error))
            }
            frames.append(
                Backtrace.Frame(
                    instructionPointer: instructionPointer, isReturnAddress: isReturnAddress,
                    canonicalFrameAddress: nil, isSignalFrame: false))
            do throws(UnwindError) {
                let step = try step(current, isReturnAddress: isReturnAddress)
                // A signal frame's CFA is the interrupted stack pointer, on whichever stack that is.
                guard step.isSignalFrame || step.canonicalFrameAddress > floor else {
                    throw UnwindError(.stackNotGrowing, "A frame does not lie above the one before.", at: floor)
                }
                frames[frames.count - 1].canonicalFrameAddress = step.canonicalFrameAddress
                frames[frames.count - 1].isSignalFrame = step.isSignalFrame
                guard let caller = step.caller else { return Backtrace(frames: frames, ending: .endOfStack) }
                current = caller
                isReturnAddress = !step.isSignalFrame
                floor = step.canonicalFrameAddress
            } catch {
                return Backtrace(frames: frames, ending: .incomplete(error))
            }
        }
    }

    /// Finds a frame's caller.
    ///
    /// - Parameters:
    ///   - registers: the frame's registers.
    ///   - isReturnAddress: whether its instruction pointer is one; false for the innermost frame and for
    ///     one that a signal interrupted.
    /// - Throws: `noRules` where nothing covers the instruction pointer, and whatever keeps the rules from
    ///   being followed.
    package mutating func step(_ registers: RegisterValues, isReturnAddress: Bool) throws(UnwindError) -> Step {
        guard let instructionPointer = registers[.rip] else {
            throw UnwindError(.unknownRegister, "The instruction pointer is not known.", at: 0 as UInt64)
        }
        let address = isReturnAddress ? instructionPointer &- 1 : instructionPointer
        if let index = cache.index(of: address) { return try apply(index, to: registers) }
        guard let located = tables.table(containing: address) else { throw noRules(instructionPointer) }
        let place = address &- located.bias
        guard let description = try located.table.description(covering: place) else {
            throw noRules(instructionPointer)
        }
        // Column 16 of x86-64; a CIE that names another register is not one for this architecture.
        guard description.common.returnAddressRegister == UInt64(RegisterValues.Number.rip.rawValue) else {
            throw UnwindError(.malformed, "The return address column is not 16.", at: description.common.offset)
        }
        let entry = RuleCache.Entry(
            address: address, rules: try located.table.rules(at: place, of: description),
            isSignalFrame: description.common.isSignalFrame, offset: description.offset, bytes: located.table.bytes)
        let index = cache.insert(entry)
        return try apply(index, to: registers)
    }

    private func noRules(_ address: UInt64) -> UnwindError {
        UnwindError(.noRules, "No unwind rules cover an instruction pointer.", at: address)
    }

    /// Follows the rules of the cache's entry `index`.
    private func apply(_ index: Int, to registers: RegisterValues) throws(UnwindError) -> Step {
        let cfa: UInt64
        switch cache.entries[index].canonicalFrameAddress {
        case .none: throw UnwindError(.malformed, "The rules do not define the CFA.", at: cache.entries[index].offset)
        case .register(let number, let offset):
            guard let value = registers[Int(number)] else { throw unknown(cache.entries[index].offset) }
            cfa = value &+ UInt64(bitPattern: offset)
        case .expression(let expression): cfa = try evaluate(expression, of: index, registers, initial: nil)
        }
        var caller = registers
        caller[.rsp] = cfa
        for restore in cache.entries[index].restores {
            let number = restore.number
            switch restore.rule {
            case .unspecified, .sameValue: continue
            case .undefined: caller[number] = nil
            case .offset(let offset): caller[number] = try load(cfa &+ UInt64(bitPattern: offset))
            case .valueOffset(let offset): caller[number] = cfa &+ UInt64(bitPattern: offset)
            case .register(let other): caller[number] = registers[Int(other)]
            case .expression(let expression):
                caller[number] = try load(try evaluate(expression, of: index, registers, initial: cfa))
            case .valueExpression(let expression):
                caller[number] = try evaluate(expression, of: index, registers, initial: cfa)
            }
        }
        var step = Step(canonicalFrameAddress: cfa, isSignalFrame: cache.entries[index].isSignalFrame, caller: nil)
        switch cache.entries[index].returnAddress {
        case .undefined: return step
        case .unspecified, .sameValue:
            throw UnwindError(
                .malformed, "The rules do not say where the return address is.", at: cache.entries[index].offset)
        default: break
        }
        guard let returnAddress = caller[.rip] else { throw unknown(cache.entries[index].offset) }
        // Nothing can return to 0: start routines put it there to mark the outermost frame.
        if returnAddress != 0 { step.caller = caller }
        return step
    }

    private func evaluate(
        _ expression: FrameRules.Expression, of index: Int, _ registers: RegisterValues, initial: UInt64?
    ) throws(UnwindError) -> UInt64 {
        // A signal frame has 17 of one operation each, register plus offset: no stack is needed for it.
        if expression.count > 1, expression.range.upperBound <= cache.entries[index].bytes.count {
            let operation = cache.entries[index].bytes[Int(expression.offset)]
            if (0x70...0x8F).contains(operation) {
                var cursor = try ByteCursor(cache.entries[index].bytes, expression.range.dropFirst())
                let offset = try cursor.sleb128()
                if cursor.isAtEnd {
                    guard let value = registers[Int(operation) - 0x70] else { throw unknown(cursor.position) }
                    return value &+ UInt64(bitPattern: offset)
                }
            }
        }
        var evaluator = ExpressionEvaluator(bytes: cache.entries[index].bytes, registers: registers, memory: memory)
        return try evaluator.value(of: expression, initial: initial)
    }

    private func load(_ address: UInt64) throws(UnwindError) -> UInt64 {
        guard let value = memory.load(address, count: 8) else {
            throw UnwindError(.unreadableMemory, "A saved register lies in memory that cannot be read.", at: address)
        }
        return value
    }

    private func unknown(_ offset: Int) -> UnwindError {
        UnwindError(.unknownRegister, "The rules need a register that is not known.", at: offset)
    }
}
