//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

extension FieldReader {
    /// Reads an access to a thread-local variable: as it was compiled, or as the linker rewrote it.
    ///
    /// - Returns: where in the section the call of `__tls_get_addr` had its field, if the linker did away with it.
    /// - Throws: `Mismatch` where the bytes are no form of the access, or reach another variable.
    func readThreadLocal(
        _ relocation: ObjectRelocation, section: ObjectSection, base: Int, into facts: inout [Fact]
    ) throws(Mismatch) -> Int? {
        let contents = object.bytes[section.contents]
        guard let sequence = ThreadLocalSequence(relocation, code: contents),
            let now = shipped.contents(base &+ sequence.range.lowerBound, count: sequence.range.count)
        else { throw .field(offset: relocation.offset) }
        let start = base &+ sequence.range.lowerBound
        if sequence.matches(sequence.asCompiled, now) {
            try readAsCompiled(sequence, relocation, start: start, into: &facts)
            return nil
        }
        if let form = sequence.initialExec, sequence.matches(form, now) {
            if let field = form.field {
                let slot = try signed32(start &+ field, relocation) &+ start &+ field &+ 4
                try bind(relocation, slot: slot, .pointerOffset, into: &facts)
                return sequence.call
            }
            // A call through a descriptor becomes the same in both forms.
            return nil
        }
        guard let form = sequence.localExec, sequence.matches(form, now) else {
            throw .field(offset: relocation.offset)
        }
        if let field = form.field {
            try bind(relocation, pointerOffset: try signed32(start &+ field, relocation), into: &facts)
        }
        return sequence.call
    }

    private func readAsCompiled(
        _ sequence: ThreadLocalSequence, _ relocation: ObjectRelocation, start: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        guard let field = sequence.field else { return }
        let place = start &+ field
        let value = try signed32(place, relocation)
        let slot = value &- relocation.addend &+ place
        switch sequence.model {
        case .generalDynamic: try bind(relocation, slot: slot, .pair, into: &facts)
        case .initialExec: try bind(relocation, slot: slot, .pointerOffset, into: &facts)
        case .descriptor: try bind(relocation, slot: slot, .descriptor, into: &facts)
        case .localDynamic:
            guard linkage.threadLocals.slots[slot] == ThreadLocalSlots.Slot(kind: .pair, variable: .own(offset: 0))
            else { throw .otherSymbol(offset: relocation.offset) }
        case .localExec: try bind(relocation, pointerOffset: value &- relocation.addend, into: &facts)
        case .blockOffset:
            // In an executable the call before it is gone, and the thread pointer is what it is added to.
            if shipped.isExecutable {
                try bind(relocation, pointerOffset: value &- relocation.addend, into: &facts)
            } else {
                try bind(relocation, blockOffset: value &- relocation.addend, into: &facts)
            }
        case .descriptorCall: break
        }
    }

    private func bind(
        _ relocation: ObjectRelocation, slot address: Int, _ kind: ThreadLocalSlots.Kind, into facts: inout [Fact]
    ) throws(Mismatch) {
        guard let slot = linkage.threadLocals.slots[address], slot.kind == kind else {
            throw .field(offset: relocation.offset)
        }
        switch slot.variable {
        case .named(let name):
            guard name == object.symbols[relocation.symbol].baseName else {
                throw .otherSymbol(offset: relocation.offset)
            }
        case .own(let offset): try bind(relocation, blockOffset: offset, into: &facts)
        }
    }

    private func bind(
        _ relocation: ObjectRelocation, pointerOffset: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        guard shipped.isExecutable, let distance = shipped.threadLocalBlock?.pointerDistance else {
            throw .field(offset: relocation.offset)
        }
        try bind(relocation, blockOffset: pointerOffset &- distance, into: &facts)
    }

    /// Addresses of thread-local variables are those in the template.
    private func bind(
        _ relocation: ObjectRelocation, blockOffset: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        guard let block = shipped.threadLocalBlock, block.offsets.contains(blockOffset) else {
            throw .field(offset: relocation.offset)
        }
        let symbol = object.symbols[relocation.symbol]
        let address = block.address &+ blockOffset
        let number = globals[relocation.symbol]
        if number >= 0 {
            facts.append(Fact(subject: .value(number), address: address))
            // Another object may define it too, where it is weak.
            guard symbol.binding == .global else { return }
        }
        if let section = symbol.section {
            facts.append(Fact(subject: .base(section), address: address &- symbol.value))
        }
    }
}
