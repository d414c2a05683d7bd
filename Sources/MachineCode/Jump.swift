//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The jump that is written over a function's first bytes: `jmp rel32` (opcode E9; Intel SDM volume 2, JMP).
package enum Jump {
    /// Size of the instruction in bytes.
    package static var size: Int { 5 }
    /// Its first byte.
    package static var opcode: UInt8 { 0xE9 }

    /// Encodes `jmp destination` for the place `address`.
    ///
    /// - Parameters:
    ///   - address: where the instruction will lie.
    ///   - destination: where it leads. Same address space as `address`.
    /// - Returns: the 5 bytes.
    /// - Throws: `outOfReach` when the distance does not fit in 32 bits.
    package static func bytes(from address: UInt64, to destination: UInt64) throws(MachineCodeError) -> [UInt8] {
        guard let displacement = Reach.displacement(from: address &+ UInt64(size), to: destination) else {
            throw MachineCodeError(.outOfReach, "The jump's destination is more than 2 GiB away.")
        }
        var bytes: [UInt8] = [opcode]
        bytes.appendLittleEndian(displacement)
        return bytes
    }

    /// Decodes a `jmp rel32`.
    ///
    /// - Parameters:
    ///   - bytes: what lies at `address`; only the first 5 are looked at.
    ///   - address: where the instruction lies.
    /// - Returns: where it leads; nil when the bytes are not a `jmp rel32` or are too few.
    package static func destination(of bytes: [UInt8], at address: UInt64) -> UInt64? {
        guard bytes.count >= size, bytes[0] == opcode, let displacement = bytes.littleEndianInt32(at: 1) else {
            return nil
        }
        return address &+ UInt64(size) &+ UInt64(bitPattern: Int64(displacement))
    }
}
