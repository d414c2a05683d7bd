//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

extension Matcher {
    /// Compares the data sections whose place is known with the shipped binary, and learns from the
    /// addresses in them (tables of functions) until nothing is new.
    mutating func readData() {
        var pending: [(object: Int, section: Int)] = []
        for (number, object) in objects.enumerated() where isAnythingPlaced(number) {
            for (index, section) in object.sections.enumerated()
            where section.isAllocated && !section.isCode && !section.isMergeable && section.contents.count > 0
                && section.name != ".eh_frame"
            {
                pending.append((number, index))
            }
        }
        var progress = true
        while progress {
            progress = false
            var left: [(object: Int, section: Int)] = []
            for item in pending {
                guard let base = knowledge.bases[item.object][item.section] else {
                    left.append(item)
                    continue
                }
                read(item.object, item.section, base: base)
                progress = true
            }
            pending = left
        }
    }

    private func isAnythingPlaced(_ object: Int) -> Bool {
        units.contains { $0.object == object && $0.status == .placed }
    }

    private mutating func read(_ number: Int, _ index: Int, base: Int) {
        let object = objects[number]
        let section = object.sections[index]
        let contents = object.contents(index)
        guard let offset = shipped.fileOffset(base, count: contents.count),
            CodePattern(section).matches(contents, shipped.bytes, at: offset)
        else {
            differingData[number].append("\(section.name) has other contents in the shipped binary")
            return
        }
        var reader = readers[number]
        reader.toleratesLiterals = true
        var facts: [Fact]
        do throws(FieldReader.Mismatch) {
            facts = try reader.facts(section: index, base: base)
        } catch {
            differingData[number].append(object.describe(error, section: index))
            return
        }
        for (symbolIndex, symbol) in object.symbols.enumerated()
        where symbol.section == index && reader.globals[symbolIndex] >= 0 && symbol.binding == .global {
            facts.append(Fact(subject: .value(reader.globals[symbolIndex]), address: base &+ symbol.value))
        }
        let comparison = knowledge.compare(facts, object: number)
        if let contradiction = comparison.contradiction {
            contradictions.append(
                "\(object.name): \(section.name): "
                    + knowledge.describe(contradiction, object: number, in: object))
            return
        }
        differingLiterals[number] += reader.differingLiterals
        knowledge.learn(facts, object: number)
    }
}
