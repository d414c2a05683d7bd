//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// The instructions that reach a thread-local variable, and what linkers make of them (Drepper: "ELF Handling
/// For Thread-Local Storage", sections 4.4.6 and 5; psABI x86-64, section on TLS).
///
/// A compiler writes the most general access that its options demand. A linker that knows more rewrites it in
/// place: so the bytes of the shipped binary are those of the object, or exactly one of the forms here.
struct ThreadLocalSequence {
    /// The access model, by its relocation.
    enum Model {
        /// `R_X86_64_TLSGD`: `__tls_get_addr` is called with a pair of GOT slots for the variable.
        case generalDynamic
        /// `R_X86_64_TLSLD`: the same with a pair for the whole block of the object.
        case localDynamic
        /// `R_X86_64_DTPOFF32`: the variable's offset in the block, added to what `localDynamic` gave.
        case blockOffset
        /// `R_X86_64_GOTTPOFF`: a GOT slot holds the offset from the thread pointer.
        case initialExec
        /// `R_X86_64_TPOFF32`: the offset from the thread pointer is part of the instruction.
        case localExec
        /// `R_X86_64_GOTPC32_TLSDESC`: two GOT slots hold a function and its argument.
        case descriptor
        /// `R_X86_64_TLSDESC_CALL`: the call of that function.
        case descriptorCall
    }

    /// Other instructions for the same access.
    struct Form {
        /// As many bytes as the sequence has; the field is zero.
        var bytes: [UInt8]
        /// Where the field of 32 bits is; nil where there is none.
        var field: Int?
    }

    let model: Model
    /// Where in the section it lies.
    let range: Range<Int>
    /// Its bytes.
    let bytes: [UInt8]
    /// Where in the section the call of `__tls_get_addr` has its field; nil where there is no call.
    let call: Int?
    /// Offset in `range` of the field; nil where there is none.
    let field: Int?

    /// Recognises the sequence that a relocation belongs to; nil where the bytes are no documented one.
    init?(_ relocation: ObjectRelocation, code: ArraySlice<UInt8>) {
        let place = relocation.offset
        let opcodes = { (range: Range<Int>) -> [UInt8] in
            guard range.lowerBound >= 0, range.upperBound <= code.count else { return [] }
            return [UInt8](code[(code.startIndex + range.lowerBound)..<(code.startIndex + range.upperBound)])
        }
        let isRelative = relocation.addend == -4
        var call: Int?
        switch relocation.type {
        case .tlsGeneralDynamic:
            let rest = opcodes((place + 4)..<(place + 8))
            guard isRelative, opcodes((place - 4)..<place) == [0x66, 0x48, 0x8d, 0x3d],
                rest == [0x66, 0x66, 0x48, 0xe8] || rest == [0x66, 0x48, 0xff, 0x15]
            else { return nil }
            (model, range, field) = (.generalDynamic, (place - 4)..<(place + 12), 4)
            call = place + 8
        case .tlsLocalDynamic:
            guard isRelative, opcodes((place - 3)..<place) == [0x48, 0x8d, 0x3d] else { return nil }
            let isDirect = opcodes((place + 4)..<(place + 5)) == [0xe8]
            guard isDirect || opcodes((place + 4)..<(place + 6)) == [0xff, 0x15] else { return nil }
            (model, range, field) = (.localDynamic, (place - 3)..<(place + (isDirect ? 9 : 10)), 3)
            call = place + (isDirect ? 5 : 6)
        case .gotThreadPointerOffset:
            let before = opcodes((place - 3)..<place)
            guard isRelative, before.count == 3, before[0] & 0xfb == 0x48, before[1] == 0x8b || before[1] == 0x03,
                before[2] & 0xc7 == 0x05
            else { return nil }
            (model, range, field) = (.initialExec, (place - 3)..<(place + 4), 3)
        case .gotPC32TLSDescriptor:
            guard isRelative, opcodes((place - 3)..<place) == [0x48, 0x8d, 0x05] else { return nil }
            (model, range, field) = (.descriptor, (place - 3)..<(place + 4), 3)
        case .tlsDescriptorCall:
            guard opcodes(place..<(place + 2)) == [0xff, 0x10] else { return nil }
            (model, range, field) = (.descriptorCall, place..<(place + 2), nil)
        case .threadLocalOffset32:
            (model, range, field) = (.blockOffset, place..<(place + 4), 0)
        case .threadPointerOffset32:
            (model, range, field) = (.localExec, place..<(place + 4), 0)
        default:
            return nil
        }
        bytes = opcodes(range)
        guard bytes.count == range.count else { return nil }
        self.call = call
    }

    /// The sequence as it was compiled.
    var asCompiled: Form { Form(bytes: bytes, field: field) }

    /// Through a GOT slot with the offset from the thread pointer; nil where there is no such form.
    var initialExec: Form? {
        switch model {
        case .generalDynamic:
            // mov %fs:0, %rax; add slot(%rip), %rax
            Form(bytes: [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x03, 0x05, 0, 0, 0, 0], field: 12)
        case .descriptor: Form(bytes: [0x48, 0x8b, 0x05, 0, 0, 0, 0], field: 3)  // mov slot(%rip), %rax
        case .descriptorCall: Form(bytes: [0x66, 0x90], field: nil)
        default: nil
        }
    }

    /// With the offset from the thread pointer in the instruction; nil where there is no such form.
    var localExec: Form? {
        switch model {
        case .generalDynamic:
            // mov %fs:0, %rax; lea offset(%rax), %rax
            return Form(bytes: [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80, 0, 0, 0, 0], field: 12)
        case .localDynamic:
            // mov %fs:0, %rax, with prefixes to fill the space
            let prefixes = [UInt8](repeating: 0x66, count: bytes.count - 9)
            return Form(bytes: prefixes + [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], field: nil)
        case .initialExec:
            let register = (bytes[2] >> 3) & 7
            // The register was the operand that REX.R (4) extends, and is the one that REX.B (1) extends now.
            let extended = bytes[0] & 4 != 0
            if bytes[1] == 0x8b {
                return Form(bytes: [extended ? 0x49 : 0x48, 0xc7, 0xc0 | register, 0, 0, 0, 0], field: 3)
            }
            if register == 4 {
                // lea would need a SIB byte for %rsp and %r12.
                return Form(bytes: [extended ? 0x49 : 0x48, 0x81, 0xc4, 0, 0, 0, 0], field: 3)
            }
            return Form(
                bytes: [extended ? 0x4d : 0x48, 0x8d, 0x80 | register | register << 3, 0, 0, 0, 0], field: 3)
        case .descriptor: return Form(bytes: [0x48, 0xc7, 0xc0, 0, 0, 0, 0], field: 3)
        case .descriptorCall: return Form(bytes: [0x66, 0x90], field: nil)
        case .blockOffset, .localExec: return nil
        }
    }

    /// Whether shipped bytes are a form of the sequence, its field left out (and that of the call, if the form
    /// still has it).
    func matches(_ form: Form, _ shipped: ArraySlice<UInt8>) -> Bool {
        guard shipped.count == form.bytes.count else { return false }
        let field = form.field.map { $0..<($0 + 4) } ?? 0..<0
        let call = form.bytes == bytes ? self.call.map { ($0 - range.lowerBound)..<range.count } ?? 0..<0 : 0..<0
        return zip(form.bytes, shipped).enumerated().allSatisfy { index, pair in
            pair.0 == pair.1 || field.contains(index) || call.contains(index)
        }
    }

    /// What a linker may rewrite around the field of a relocation: bytes before the field, and after its first
    /// byte. Nil for relocations of another kind.
    static func extent(of type: RelocationType) -> (before: Int, after: Int)? {
        switch type {
        case .tlsGeneralDynamic: (4, 12)
        // One more where the call is through the GOT, whose own relocation covers it.
        case .tlsLocalDynamic: (3, 9)
        case .gotThreadPointerOffset, .gotPC32TLSDescriptor: (3, 4)
        case .tlsDescriptorCall: (0, 2)
        case .threadLocalOffset32, .threadPointerOffset32: (0, 4)
        default: nil
        }
    }
}
