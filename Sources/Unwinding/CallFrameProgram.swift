//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Executes call frame instructions up to an address (DWARF 5, sections 6.4.2 and 6.4.3, codes 7.24).
struct CallFrameProgram {
    let bytes: [UInt8]
    let description: FrameDescription
    private var rules = FrameRules()
    private var initial = FrameRules()
    private var remembered: [FrameRules] = []
    private var location: UInt64

    /// More nesting than any compiler emits.
    private static var rememberedLimit: Int { 64 }

    init(bytes: [UInt8], description: FrameDescription) {
        self.bytes = bytes
        self.description = description
        location = description.start
    }

    /// The rules at `address`.
    mutating func rules(at address: UInt64) throws(UnwindError) -> FrameRules {
        try execute(description.common.instructions, until: .max)
        // The CIE's instructions describe the state at the function's start; they do not move.
        location = description.start
        initial = rules
        remembered.removeAll()
        try execute(description.instructions, until: address)
        return rules
    }

    /// Executes instructions until the location would pass `address`.
    private mutating func execute(_ range: Range<Int>, until address: UInt64) throws(UnwindError) {
        var cursor = try ByteCursor(bytes, range)
        while !cursor.isAtEnd {
            let offset = cursor.position
            let instruction = try CallFrameInstruction(&cursor, common: description.common)
            switch instruction {
            case .advance(let distance):
                let (next, overflow) = location.addingReportingOverflow(distance)
                guard !overflow else {
                    throw UnwindError(.malformed, "An advance leaves the address space.", at: offset)
                }
                if next > address { return }
                location = next
            case .setLocation:
                // No compiler emits it: functions that are split have an FDE for each part.
                throw UnwindError(.unsupportedInstruction, "DW_CFA_set_loc is not supported.", at: offset)
            case .nop: break
            default: try apply(instruction, at: offset)
            }
        }
    }

    private mutating func apply(_ instruction: CallFrameInstruction, at offset: Int) throws(UnwindError) {
        switch instruction {
        case .defineAddress(let rule): rules.canonicalFrameAddress = rule
        case .defineAddressRegister(let register):
            guard case .register(_, let distance) = rules.canonicalFrameAddress else { throw noRegister(offset) }
            rules.canonicalFrameAddress = .register(register, distance)
        case .defineAddressOffset(let distance):
            guard case .register(let register, _) = rules.canonicalFrameAddress else { throw noRegister(offset) }
            rules.canonicalFrameAddress = .register(register, distance)
        case .set(let register, let rule): rules[register] = rule
        case .restore(let register): rules[register] = initial[register]
        case .rememberState:
            guard remembered.count < Self.rememberedLimit else {
                throw UnwindError(.limitExceeded, "DW_CFA_remember_state is nested too deeply.", at: offset)
            }
            remembered.append(rules)
        case .restoreState:
            guard let last = remembered.popLast() else {
                throw UnwindError(.malformed, "DW_CFA_restore_state without a remembered state.", at: offset)
            }
            rules = last
        case .advance, .setLocation, .nop: break
        }
    }

    private func noRegister(_ offset: Int) -> UnwindError {
        UnwindError(.malformed, "The CFA's register or offset is set where it is an expression.", at: offset)
    }
}
