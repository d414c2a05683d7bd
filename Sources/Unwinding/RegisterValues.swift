//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The registers that unwinding needs, by their DWARF numbers (psABI x86-64, figure 3.36).
package struct RegisterValues: Sendable {
    /// DWARF numbers of the registers.
    package enum Number: Int, Sendable, CaseIterable {
        /// The general registers; from `rdx` to `rsp` not in the order of their encodings.
        case rax = 0
        case rdx, rcx, rbx, rsi, rdi, rbp, rsp
        case r8, r9, r10, r11, r12, r13, r14, r15
        /// The return address column: the instruction pointer.
        case rip
    }

    private var values: [17 of UInt64] = .init(repeating: 0)
    private var known: UInt32 = 0

    /// No register is known.
    package init() {}

    /// A register's value, nil when it is not known.
    package subscript(register: Number) -> UInt64? {
        get { self[register.rawValue] }
        set { self[register.rawValue] = newValue }
    }

    /// A register's value by DWARF number, nil when it is not known or above 16.
    subscript(number: Int) -> UInt64? {
        get { (0..<17).contains(number) && known & (1 << UInt32(number)) != 0 ? values[number] : nil }
        set {
            guard (0..<17).contains(number) else { return }
            if let newValue {
                values[number] = newValue
                known |= 1 << UInt32(number)
            } else {
                known &= ~(1 << UInt32(number))
            }
        }
    }
}
