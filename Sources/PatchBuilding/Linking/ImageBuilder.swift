//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch
internal import MachineCode
internal import Unwinding

/// Lays out pieces and gates, fills in what does not depend on the process, and writes the rest down as
/// relocations.
struct ImageBuilder {
    private var pieces: [Piece]
    private var code: [UInt8] = []
    private var constants: [UInt8] = []
    private var relocations: [Relocation] = []
    private var unwind = EHFrameWriter()
    private(set) var gates: [Gate?] = []
    private(set) var symbols: [Symbol] = []

    /// What an image is aligned to in a process: it lies behind a header of a multiple of 64 bytes at the start of a page
    /// (Documentation/patch-memory.md). GCC aligns tables of 32 bytes and more to 32.
    static let alignment = 64

    /// Fills the space between functions: a breakpoint, which nothing runs into.
    private static let padding: UInt8 = 0xcc

    init(pieces: [Piece]) { self.pieces = pieces }

    /// A gate that is to be laid out, and the piece that it leads to.
    struct GateRequest {
        let name: String
        let builder: GateBuilder?
        let frame: ExtractedFrame?
        let replacement: Int
        /// Bytes at the start of the old function that the gate does not hold.
        let skipped: Int
    }

    /// Unwind rules of a piece.
    struct PieceFrame {
        let piece: Int
        let frame: ExtractedFrame
    }

    /// Makes the image.
    ///
    /// - Throws: `PatchBuildingError` where unwind rules cannot be written or the image has 2 GiB.
    mutating func build(_ requests: [GateRequest], frames: [PieceFrame]) throws(PatchBuildingError) -> Image {
        for number in pieces.indices where pieces[number].isCode {
            Self.pad(&code, to: 16, with: Self.padding)
            pieces[number].offset = code.count
            code += pieces[number].bytes
        }
        var places: [Int] = []
        for request in requests {
            Self.pad(&code, to: 16, with: Self.padding)
            places.append(code.count)
            if let builder = request.builder { code += builder.bytes }
        }
        var image = Image(code: code, constants: [], unwind: [], relocations: [])
        // The applier fills the first slot: the address of the transaction's state word.
        constants = [UInt8](repeating: 0, count: 8)
        for number in pieces.indices where !pieces[number].isCode {
            // Offsets count from the image, whose constants begin at some multiple of 16.
            while (image.constantsOffset + constants.count) % max(1, pieces[number].alignment) != 0 {
                constants.append(0)
            }
            pieces[number].offset = image.constantsOffset + constants.count
            constants += pieces[number].bytes
        }
        image.constants = constants
        for piece in pieces {
            for field in piece.fields {
                try fill(
                    field.kind == .absolute64 ? .absolute64 : .relative32, at: piece.offset + field.offset,
                    to: destination(field.destination), addend: field.addend, image: &image)
            }
            guard !piece.name.isEmpty else { continue }
            symbols.append(
                Symbol(name: piece.name, place: .image(UInt32(piece.offset)), size: UInt64(piece.bytes.count)))
        }
        try place(requests, at: places, image: &image)
        try writeUnwind(requests, at: places, frames: frames, image: &image)
        image.relocations = relocations.sorted { $0.offset < $1.offset }
        return image
    }

    private mutating func place(
        _ requests: [GateRequest], at places: [Int], image: inout Image
    ) throws(PatchBuildingError) {
        for (request, place) in zip(requests, places) {
            guard let builder = request.builder else {
                gates.append(nil)
                continue
            }
            for field in builder.requests {
                let destination: Relocation.Destination =
                    switch field.destination {
                    case .statePointer: .image(UInt32(image.constantsOffset))
                    case .replacement: .image(UInt32(pieces[request.replacement].offset))
                    case .target(let address): .target(address)
                    }
                try fill(
                    .relative32, at: place + field.offset, to: destination, addend: Int(field.addend), image: &image)
            }
            gates.append(
                Gate(
                    offset: UInt32(place), size: UInt32(builder.bytes.count),
                    original: UInt32(place + builder.original)))
            symbols.append(
                Symbol(
                    name: request.name + "@gate", place: .image(UInt32(place)), size: UInt64(builder.bytes.count)))
        }
    }

    private mutating func writeUnwind(
        _ requests: [GateRequest], at places: [Int], frames: [PieceFrame], image: inout Image
    ) throws(PatchBuildingError) {
        do throws(UnwindError) {
            for frame in frames { try unwind.add(frame.frame, at: UInt32(pieces[frame.piece].offset)) }
            for (request, place) in zip(requests, places) {
                guard let builder = request.builder else { continue }
                let steps = builder.stackSteps.map {
                    EHFrameWriter.StackStep(
                        offset: UInt32($0.offset), canonicalFrameAddressOffset: UInt32($0.canonicalFrameAddressOffset))
                }
                // What is skipped is `endbr64`, which changes no rule: the gate begins with those of the start.
                let pairs = builder.places.map {
                    EHFrameWriter.Place(
                        original: UInt32($0.original == 0 ? 0 : $0.original + request.skipped),
                        copy: UInt32($0.relocated))
                }
                try unwind.addGate(
                    at: UInt32(place), size: UInt32(builder.bytes.count), steps: steps, places: pairs,
                    original: request.frame)
            }
            image.unwind = try unwind.section(at: UInt32(image.unwindOffset)).bytes
        } catch {
            throw PatchBuildingError(.malformedObject, "Unwind rules cannot be written: \(error.reason)")
        }
    }

    private func destination(_ destination: Piece.Destination) -> Relocation.Destination {
        switch destination {
        case .piece(let number, let offset): .image(UInt32(pieces[number].offset + offset))
        case .target(let address): .target(UInt64(truncatingIfNeeded: address))
        }
    }

    /// Writes a field whose value is known, or a relocation.
    private mutating func fill(
        _ kind: Relocation.Kind, at offset: Int, to destination: Relocation.Destination, addend: Int,
        image: inout Image
    ) throws(PatchBuildingError) {
        if case .image(let target) = destination, kind == .relative32 {
            guard let value = Int32(exactly: Int(target) &+ addend &- offset) else {
                throw PatchBuildingError(.inconsistent, "A reference inside the image spans more than 2 GiB.")
            }
            let bits = UInt32(bitPattern: value)
            for index in 0..<4 { image.write(UInt8(truncatingIfNeeded: bits >> UInt32(8 * index)), at: offset + index) }
            return
        }
        relocations.append(
            Relocation(offset: UInt32(offset), kind: kind, destination: destination, addend: Int64(addend)))
    }

    private static func pad(_ bytes: inout [UInt8], to alignment: Int, with padding: UInt8) {
        while bytes.count % max(1, alignment) != 0 { bytes.append(padding) }
    }

    /// Offset in the image of a piece, once it is built.
    func offset(ofPiece number: Int) -> UInt32 { UInt32(pieces[number].offset) }
}

extension Image {
    /// Writes a byte of the code or the constants.
    fileprivate mutating func write(_ byte: UInt8, at offset: Int) {
        if offset < code.count {
            code[offset] = byte
        } else if offset >= constantsOffset, offset - constantsOffset < constants.count {
            constants[offset - constantsOffset] = byte
        }
    }
}
