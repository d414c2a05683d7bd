//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Follows the frames of stopped threads by the rules of `.eh_frame`.
package struct Unwinder<Memory: MemoryReader, Tables: FrameTableProvider> {
    /// Where stack words are read.
    package var memory: Memory
    /// The rules of what is mapped.
    package var tables: Tables
    /// Most frames of a backtrace.
    package var frameLimit: Int

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
    package func unwind(_ registers: RegisterValues) -> Backtrace {
        var frames: [Backtrace.Frame] = []
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
    package func step(_ registers: RegisterValues, isReturnAddress: Bool) throws(UnwindError) -> Step {
        guard let instructionPointer = registers[.rip] else {
            throw UnwindError(.unknownRegister, "The instruction pointer is not known.", at: 0 as UInt64)
        }
        let address = isReturnAddress ? instructionPointer &- 1 : instructionPointer
        guard let located = tables.table(containing: address) else { throw noRules(instructionPointer) }
        let place = address &- located.bias
        guard let description = try located.table.description(covering: place) else {
            throw noRules(instructionPointer)
        }
        let rules = try located.table.rules(at: place, of: description)
        return try apply(rules, of: description.common, bytes: located.table.bytes, to: registers)
    }

    private func noRules(_ address: UInt64) -> UnwindError {
        UnwindError(.noRules, "No unwind rules cover an instruction pointer.", at: address)
    }

    private func apply(
        _ rules: FrameRules, of common: CommonInformation, bytes: [UInt8], to registers: RegisterValues
    ) throws(UnwindError) -> Step {
        var evaluator = ExpressionEvaluator(bytes: bytes, registers: registers, memory: memory)
        let cfa: UInt64
        switch rules.canonicalFrameAddress {
        case .none: throw UnwindError(.malformed, "The rules do not define the CFA.", at: common.offset)
        case .register(let number, let offset):
            guard let value = registers[Int(number)] else { throw unknown(common.offset) }
            cfa = value &+ UInt64(bitPattern: offset)
        case .expression(let expression): cfa = try evaluator.value(of: expression, initial: nil)
        }
        // Column 16 of x86-64; a CIE that names another register is not one for this architecture.
        guard common.returnAddressRegister == UInt64(RegisterValues.Number.rip.rawValue) else {
            throw UnwindError(.malformed, "The return address column is not 16.", at: common.offset)
        }
        var caller = registers
        caller[.rsp] = cfa
        for number in 0..<17 {
            switch rules[number] {
            case .unspecified, .sameValue: continue
            case .undefined: caller[number] = nil
            case .offset(let offset): caller[number] = try load(cfa &+ UInt64(bitPattern: offset))
            case .valueOffset(let offset): caller[number] = cfa &+ UInt64(bitPattern: offset)
            case .register(let other): caller[number] = registers[Int(other)]
            case .expression(let expression):
                caller[number] = try load(try evaluator.value(of: expression, initial: cfa))
            case .valueExpression(let expression):
                caller[number] = try evaluator.value(of: expression, initial: cfa)
            }
        }
        var step = Step(canonicalFrameAddress: cfa, isSignalFrame: common.isSignalFrame, caller: nil)
        switch rules[RegisterValues.Number.rip.rawValue] {
        case .undefined: return step
        case .unspecified, .sameValue:
            throw UnwindError(.malformed, "The rules do not say where the return address is.", at: common.offset)
        default: break
        }
        guard let returnAddress = caller[.rip] else { throw unknown(common.offset) }
        // Start routines that have no rules of their own mark the outermost frame with a zero.
        if returnAddress != 0 { step.caller = caller }
        return step
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
