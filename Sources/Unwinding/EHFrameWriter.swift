//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Writes the `.eh_frame` of a patch image: rules of the replacements, which were taken out of the rebuilt
/// objects, and of the gates.
///
/// Code and rules lie in one image, so addresses are stored as distances (`DW_EH_PE_pcrel | sdata4`) and
/// nothing is left to relocate.
package struct EHFrameWriter: Sendable {
    /// A line of a gate's rules: from `offset` on, CFA = rsp + `canonicalFrameAddressOffset`.
    package struct StackStep: Sendable, Equatable {
        /// First offset in the gate.
        package var offset: UInt32
        /// CFA minus stack pointer, in bytes.
        package var canonicalFrameAddressOffset: UInt32

        /// Makes a line.
        package init(offset: UInt32, canonicalFrameAddressOffset: UInt32) {
            self.offset = offset
            self.canonicalFrameAddressOffset = canonicalFrameAddressOffset
        }
    }

    /// Where an instruction of the old function lies in the gate.
    package struct Place: Sendable, Equatable {
        /// Offset from the old function's first byte.
        package var original: UInt32
        /// Offset from the gate's first byte.
        package var copy: UInt32

        /// Makes a pair.
        package init(original: UInt32, copy: UInt32) {
            self.original = original
            self.copy = copy
        }
    }

    /// A finished section.
    package struct Section: Sendable, Equatable {
        /// The bytes, with the zero terminator.
        package var bytes: [UInt8]
        /// Where the section holds the first address of which function; they are final already.
        package var startFields: [StartField]
    }

    /// A field that holds the distance from itself to a function's first byte.
    package struct StartField: Sendable, Equatable {
        /// Offset in the image of the field.
        package var offset: UInt32
        /// Offset in the image of the function.
        package var function: UInt32
    }

    /// What goes into a CIE.
    fileprivate struct Common: Equatable {
        var codeAlignment: UInt64
        var dataAlignment: Int64
        var isSignalFrame: Bool
        var instructions: [UInt8]

        /// What every compiler emits for x86-64: CFA = rsp + 8, return address at CFA - 8.
        static var standard: Common {
            Common(
                codeAlignment: 1, dataAlignment: -8, isSignalFrame: false,
                instructions: [0x0C, 0x07, 0x08, 0x80 | 16, 0x01])
        }
    }

    private struct Function {
        var common: Int
        var offset: UInt32
        var size: UInt32
        var instructions: [UInt8]
    }

    private var common: [Common] = []
    private var functions: [Function] = []

    /// Starts with nothing.
    package init() {}

    /// Adds a function's rules as they were in its object.
    ///
    /// - Parameters:
    ///   - frame: the rules.
    ///   - offset: offset in the image of the function's first byte.
    /// - Throws: `malformed` when the function has language-specific data, which are not written, or is
    ///   larger than 4 GiB.
    package mutating func add(_ frame: ExtractedFrame, at offset: UInt32) throws(UnwindError) {
        guard !frame.hasLSDA else {
            throw UnwindError(.malformed, "Rules with language-specific data cannot be moved.", at: frame.offset)
        }
        guard let size = UInt32(exactly: frame.size) else {
            throw UnwindError(.malformed, "The function is too large.", at: frame.offset)
        }
        append(Common(frame), Function(common: 0, offset: offset, size: size, instructions: frame.instructions))
    }

    /// Adds a gate's rules.
    ///
    /// - Parameters:
    ///   - offset: offset in the image of the gate's first byte.
    ///   - size: size of the gate in bytes.
    ///   - steps: how the gate's own instructions move the stack pointer, ascending; the first at 0 with 8.
    ///   - places: where the old function's first instructions lie in the gate, ascending; the last pair is
    ///     the jump back.
    ///   - original: the old function's rules. Nil when it has none: the rules then end where the relocated
    ///     prologue starts.
    /// - Throws: `malformed` when steps or places are not in order, or when the old function's rules change
    ///   between two instructions; `unsupportedInstruction` when they do not start in the usual state.
    package mutating func addGate(
        at offset: UInt32, size: UInt32, steps: [StackStep], places: [Place], original: ExtractedFrame?
    ) throws(UnwindError) {
        var writer = InstructionWriter()
        guard steps.first == StackStep(offset: 0, canonicalFrameAddressOffset: 8),
            steps.last?.canonicalFrameAddressOffset == 8, let first = places.first, let last = places.last,
            first.original == 0, last.copy < size
        else {
            throw UnwindError(.malformed, "A gate's stack steps or places are not in order.", at: UInt64(offset))
        }
        for step in steps.dropFirst() {
            guard step.offset <= first.copy else {
                throw UnwindError(.malformed, "A gate's stack steps or places are not in order.", at: UInt64(offset))
            }
            try writer.advance(to: step.offset)
            writer.defineOffset(UInt64(step.canonicalFrameAddressOffset))
        }
        guard let original else {
            append(
                .standard, Function(common: 0, offset: offset, size: first.copy, instructions: writer.bytes))
            return
        }
        guard Common(original) == .standard else {
            throw UnwindError(
                .unsupportedInstruction, "The old function's rules do not start in the usual state.",
                at: original.offset)
        }
        try copyPrologue(original, places: places, end: last.original, into: &writer)
        append(.standard, Function(common: 0, offset: offset, size: size, instructions: writer.bytes))
    }

    /// Copies the instructions that hold up to and at the end of the prologue.
    private func copyPrologue(
        _ original: ExtractedFrame, places: [Place], end: UInt32, into writer: inout InstructionWriter
    ) throws(UnwindError) {
        let information = try CommonInformation.standard()
        var cursor = try ByteCursor(original.instructions, 0..<original.instructions.count)
        var location: UInt64 = 0
        while !cursor.isAtEnd {
            let start = cursor.position
            let instruction = try CallFrameInstruction(&cursor, common: information)
            if case .advance(let distance) = instruction {
                // Cannot overflow: the extraction checked that advances stay inside the function.
                location &+= distance
                if location > UInt64(end) { return }
                continue
            }
            guard let place = places.first(where: { UInt64($0.original) == location }) else {
                throw UnwindError(
                    .malformed, "The old function's rules change inside an instruction.", at: original.offset)
            }
            try writer.advance(to: place.copy)
            writer.bytes += original.instructions[start..<cursor.position]
        }
    }

    private mutating func append(_ information: Common, _ function: Function) {
        var function = function
        if let index = common.firstIndex(of: information) {
            function.common = index
        } else {
            function.common = common.count
            common.append(information)
        }
        functions.append(function)
    }

    /// Writes the section: one CIE per kind, then the functions sorted by address, then the terminator.
    ///
    /// - Parameter sectionOffset: offset in the image of the section's first byte, a multiple of 8.
    /// - Throws: `malformed` when a distance does not fit in 32 bits or the offset is not aligned.
    package func section(at sectionOffset: UInt32) throws(UnwindError) -> Section {
        guard sectionOffset % 8 == 0 else {
            throw UnwindError(.malformed, "The section is not aligned to 8 bytes.", at: UInt64(sectionOffset))
        }
        var bytes: [UInt8] = []
        var fields: [StartField] = []
        var commonOffsets: [Int] = []
        for information in common {
            commonOffsets.append(bytes.count)
            bytes.appendEntry(information.contents)
        }
        for function in functions.sorted(by: { $0.offset < $1.offset }) {
            let fieldOffset = Int64(sectionOffset) + Int64(bytes.count) + 8
            guard let distance = Int32(exactly: Int64(function.offset) - fieldOffset),
                let field = UInt32(exactly: fieldOffset),
                let back = UInt32(exactly: bytes.count + 4 - commonOffsets[function.common])
            else {
                throw UnwindError(.malformed, "The image is too large.", at: UInt64(sectionOffset))
            }
            fields.append(StartField(offset: field, function: function.offset))
            var contents: [UInt8] = []
            contents.appendInteger(back)
            contents.appendInteger(UInt32(bitPattern: distance))
            contents.appendInteger(function.size)
            contents.append(0)  // no augmentation data
            bytes.appendEntry(contents + function.instructions)
        }
        bytes += [0, 0, 0, 0]
        return Section(bytes: bytes, startFields: fields)
    }
}

extension EHFrameWriter.Common {
    fileprivate init(_ frame: ExtractedFrame) {
        self.init(
            codeAlignment: frame.codeAlignment, dataAlignment: frame.dataAlignment,
            isSignalFrame: frame.isSignalFrame, instructions: frame.commonInstructions)
    }

    /// What follows the length field.
    fileprivate var contents: [UInt8] {
        var bytes: [UInt8] = [0, 0, 0, 0, 1, UInt8(ascii: "z"), UInt8(ascii: "R")]
        if isSignalFrame { bytes.append(UInt8(ascii: "S")) }
        bytes.append(0)
        bytes.appendULEB128(codeAlignment)
        bytes.appendSLEB128(dataAlignment)
        bytes += [16, 1, PointerEncoding.relativeSigned4.value]
        return bytes + instructions
    }
}

extension CommonInformation {
    /// The CIE that gates are written with, parsed.
    fileprivate static func standard() throws(UnwindError) -> CommonInformation {
        var bytes: [UInt8] = []
        bytes.appendEntry(EHFrameWriter.Common.standard.contents)
        return try CommonInformation(bytes, at: 0)
    }
}
