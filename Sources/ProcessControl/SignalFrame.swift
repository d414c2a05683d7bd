//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

/// A signal frame (`struct rt_sigframe` of the kernel's arch/x86) that brings a thread back to where it is now:
/// general and vector registers and the signal mask. It lies on the borrowed thread's stack while the thread runs a
/// system call for us; if we die, the thread returns through it and is as it was.
struct SignalFrame {
    /// Where the frame's bytes begin in the process.
    var address: UInt64
    /// The frame with what it points to.
    var bytes: [UInt8]
    /// The stack pointer with which the thread's `ret` starts the return.
    var stackPointer: UInt64

    /// The System V ABI's red zone: bytes below the stack pointer that leaf functions use.
    private static let redZone: UInt64 = 128
    private static let frameSize: UInt64 = 440
    /// A thread needs this much below its stack pointer: the frame, and room for a signal handler's own frame that may
    /// come right after the return.
    static let neededStack: UInt64 = 16384

    /// Builds the frame for `registers`.
    ///
    /// - Parameters:
    ///   - extendedState: bytes of NT_X86_XSTATE.
    ///   - signalMask: the thread's mask.
    ///   - site: where the return leads through.
    init?(registers: Registers, extendedState: [UInt8], signalMask: UInt64, site: SystemCallSite) {
        guard let state = Self.floatingPointState(extendedState), registers.rsp > 65536 else { return nil }
        let statePlace = (registers.rsp - Self.redZone - UInt64(state.count)) & ~63
        let frame = (statePlace - Self.frameSize) & ~15
        // Two words below the frame: the return by `pop rax; ret` takes them.
        address = frame - 16
        bytes = [UInt8](repeating: 0, count: Int(statePlace - address) + state.count)
        bytes.replaceSubrange(Int(statePlace - address)..., with: state)
        switch site.signalReturn {
        case .restorer(let restorer):
            stackPointer = frame
            put(restorer, at: 16)
        case .popRax(let pop):
            // `ret` to `pop rax; ret`, which takes 15 (rt_sigreturn) and returns to `syscall`: the kernel then finds
            // the frame 8 bytes below the stack pointer.
            stackPointer = frame - 16
            put(pop, at: 0)
            put(15, at: 8)
            put(site.systemCall, at: 16)
        }
        let context = 16 + 8
        put(7, at: context)  // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
        // Flags that no alternate stack has: rt_sigreturn(2) then leaves the thread's own as it is. (ptrace cannot tell
        // what that is.)
        put(0x5555_5555, at: context + 24)
        putMachineContext(registers.restarting, at: context + 40, state: statePlace)
        put(signalMask, at: context + 296)
    }

    /// `struct sigcontext_64`.
    private mutating func putMachineContext(_ registers: Registers, at start: Int, state: UInt64) {
        let words = [
            registers.r8, registers.r9, registers.r10, registers.r11, registers.r12, registers.r13, registers.r14,
            registers.r15, registers.rdi, registers.rsi, registers.rbp, registers.rbx, registers.rdx, registers.rax,
            registers.rcx, registers.rsp, registers.rip, registers.eflags,
            registers.cs & 0xffff | (registers.gs & 0xffff) << 16 | (registers.fs & 0xffff) << 32
                | (registers.ss & 0xffff) << 48,
        ]
        for (index, word) in words.enumerated() { put(word, at: start + 8 * index) }
        put(state, at: start + 184)
    }

    private mutating func put(_ word: UInt64, at offset: Int) {
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index)) }
    }

    /// The state as sigreturn wants it: `struct _fpx_sw_bytes` at byte 464 tells that there is more than the legacy
    /// part, and how much; a second magic number follows it.
    private static func floatingPointState(_ extended: [UInt8]) -> [UInt8]? {
        guard extended.count >= 576 else { return nil }
        let word = { (offset: Int) in
            (0..<8).reduce(UInt64(0)) { $0 | UInt64(extended[offset + $1]) << UInt64(8 * $1) }
        }
        // The kernel puts XCR0 where the magic goes.
        var features = word(464)
        var size = extended.count
        let inUse = word(512)
        if inUse >> 18 & 1 == 0 {
            // A thread that never used AMX has no room for it, and the kernel would restore the legacy part only.
            let ordinary = ordinarySize(features)
            if ordinary < size {
                size = ordinary
                features &= ~(3 << 17)
            }
        }
        guard size >= 576, size <= extended.count else { return nil }
        var state = Array(extended[..<size])
        let magic: [(Int, UInt64, Int)] = [
            (464, 0x4650_5853, 4), (468, UInt64(size + 4), 4), (472, features, 8), (480, UInt64(size), 4),
        ]
        for index in 464..<512 { state[index] = 0 }
        for (offset, value, length) in magic {
            for index in 0..<length { state[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        }
        state.append(contentsOf: [0x45, 0x58, 0x50, 0x46])
        return state
    }

    /// Size of the standard format without the tile registers: where the last of the other features ends (cpuid leaf
    /// 0xd: size in eax, offset in ebx; ecx bit 0 marks what only the kernel sees).
    private static func ordinarySize(_ features: UInt64) -> Int {
        var size = 576
        for feature in 2..<63 where features >> UInt64(feature) & 1 != 0 && feature != 17 && feature != 18 {
            var cpuid = clinux_cpuid()
            _ = unsafe clinux_cpuid(0xd, UInt32(feature), &cpuid)
            if cpuid.ecx & 1 == 0 { size = max(size, Int(cpuid.eax) + Int(cpuid.ebx)) }
        }
        return size
    }
}

extension Registers {
    /// As they must be for a thread that comes back by rt_sigreturn, which knows no restart: an interrupted system call
    /// is made again from the start.
    var restarting: Registers {
        guard isInSystemCall else { return self }
        switch rax {
        case Kernel.resultInterrupted, Kernel.restartSystemCall, Kernel.restartNoInterrupt, Kernel.restartNoHandler,
            Kernel.restartBlock:
            var registers = self
            registers.rax = origRax
            registers.rip &-= 2
            return registers
        default: return self
        }
    }
}
