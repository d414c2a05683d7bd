//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Run-pre matching: finds the place of each section of code of the rebuilt objects in the shipped binary
/// (Arnold and Kaashoek: "Ksplice: Automatic Rebootless Kernel Updates", EuroSys 2009, section 4), and from
/// what the linker wrote there the addresses of their symbols.
///
/// A section is placed only where nothing contradicts: its bytes, its functions' bounds, the names that
/// the shipped binary exports, and what the relocated fields of all other placed sections tell.
struct Matcher {
    /// A section of code that is to be placed.
    struct Unit {
        let object: Int
        let section: Int
        let size: Int
        let pattern: CodePattern
        /// Places that are left.
        var places: [Int]
        var status: Placement.Status = .absent
        /// A last contradiction, for people.
        var contradiction = ""
        var isTolerant = false
        /// Places that were dropped since another section was found there.
        var occupiedPlaces: Set<Int> = []
    }

    let shipped: ShippedBinary
    let linkage: LinkageTable
    let objects: [ObjectFile]
    var knowledge: Knowledge
    var readers: [FieldReader] = []
    var units: [Unit] = []
    /// Placed code, sorted by address.
    var occupied: [Range<Int>] = []
    var differingLiterals: [Int]
    var differingData: [[String]]
    var contradictions: [String] = []

    /// Bytes that must match, other than relocated ones, for a single place to be believed without anything
    /// else that speaks for it.
    static let sufficientWeight = 16

    init(
        shipped: ShippedBinary, linkage: LinkageTable, objects: [ObjectFile]
    ) throws(PatchBuildingError) {
        self.shipped = shipped
        self.linkage = linkage
        self.objects = objects
        knowledge = Knowledge(objects)
        differingLiterals = [Int](repeating: 0, count: objects.count)
        differingData = [[String]](repeating: [], count: objects.count)
        let finder = CandidateFinder(shipped)
        for (number, object) in objects.enumerated() {
            var globals = [Int](repeating: -1, count: object.symbols.count)
            for (index, symbol) in object.symbols.enumerated() where !symbol.isLocal {
                globals[index] = knowledge.number(symbol.baseName)
            }
            readers.append(FieldReader(shipped: shipped, linkage: linkage, object: object, globals: globals))
            let functions = try object.functionRanges()
            for (index, section) in object.sections.enumerated() where section.isCode && section.contents.count > 0 {
                let pattern = CodePattern(section)
                let places = finder.places(of: index, in: object, pattern: pattern, functions: functions[index])
                units.append(
                    Unit(object: number, section: index, size: section.size, pattern: pattern, places: places))
            }
        }
    }

    /// Places all that can be placed.
    static func place(
        _ objects: [ObjectFile], in shipped: ShippedBinary, linkage: LinkageTable
    ) throws(PatchBuildingError) -> Placement {
        var matcher = try Matcher(shipped: shipped, linkage: linkage, objects: objects)
        matcher.learnExports()
        matcher.settle(tolerant: false)
        matcher.settleByOrder()
        matcher.settle(tolerant: true)
        matcher.readData()
        return matcher.result()
    }

    /// Data that the shipped binary exports tells where their sections lie.
    private mutating func learnExports() {
        for (number, object) in objects.enumerated() {
            for symbol in object.symbols where symbol.binding == .global && symbol.type == .object {
                guard let section = symbol.section, !object.sections[section].isMergeable,
                    let exports = shipped.exports[symbol.baseName], exports.count == 1
                else { continue }
                let fact = Fact(subject: .base(section), address: exports[0].address - symbol.value)
                // Two objects that define the same name: the sections of one of them will contradict later.
                if knowledge.known(fact.subject, object: number) == nil { knowledge.learn([fact], object: number) }
            }
        }
    }

    // MARK: - Deciding

    /// Places every unit that has one place left, largest first, until nothing changes.
    mutating func settle(tolerant: Bool) {
        var pending = units.indices.filter { isOpen(units[$0], tolerant: tolerant) }
        pending.sort { (units[$1].pattern.weight, $0) < (units[$0].pattern.weight, $1) }
        var progress = true
        var isFirst = true
        while progress {
            progress = false
            // What has one place from the start goes first: it is what the others are measured by.
            for index in pending where !isFirst || units[index].places.count == 1 {
                if consider(index, tolerant: tolerant) { progress = true }
            }
            if isFirst {
                isFirst = false
                progress = true
            }
            pending.removeAll { units[$0].status == .placed || units[$0].places.isEmpty }
        }
    }

    private func isOpen(_ unit: Unit, tolerant: Bool) -> Bool {
        if unit.status == .placed { return false }
        return !unit.places.isEmpty
    }

    /// Drops the places of a unit that are contradicted, and places it where one is left.
    ///
    /// - Returns: whether anything changed.
    private mutating func consider(_ index: Int, tolerant: Bool) -> Bool {
        let unit = units[index]
        guard unit.status != .placed, !unit.places.isEmpty else { return false }
        var left: [Int] = []
        var literalPlaces: [Int] = []
        var best: (facts: [Fact], confirmed: Int, literals: Int)?
        for place in unit.places {
            switch examine(index, at: place, tolerant: tolerant) {
            case .possible(let facts, let confirmed, let literals):
                left.append(place)
                best = (facts, confirmed, literals)
            case .otherLiterals:
                literalPlaces.append(place)
            case .impossible(let why):
                units[index].contradiction = why
            }
        }
        // While reading strictly, places that fail only by a literal are kept for the tolerant reading.
        guard !left.isEmpty else {
            units[index].places = literalPlaces
            return literalPlaces.count != unit.places.count
        }
        units[index].places = left
        guard left.count == 1, let best, unit.pattern.weight >= Self.sufficientWeight || best.confirmed > 0 else {
            return left.count != unit.places.count
        }
        accept(index, at: left[0], facts: best.facts, literals: best.literals)
        return true
    }

    enum Examination {
        case possible([Fact], confirmed: Int, literals: Int)
        case otherLiterals
        case impossible(String)
    }

    /// Whether a unit can lie at a place, and what that would tell.
    mutating func examine(_ index: Int, at place: Int, tolerant: Bool) -> Examination {
        let unit = units[index]
        let object = objects[unit.object]
        if !object.sections[unit.section].flags.contains(.group), overlaps(place..<(place + unit.size)) {
            units[index].occupiedPlaces.insert(place)
            return .impossible("another section lies there")
        }
        var reader = readers[unit.object]
        reader.toleratesLiterals = tolerant
        var facts: [Fact]
        do throws(FieldReader.Mismatch) {
            facts = try reader.facts(section: unit.section, base: place)
        } catch {
            if case .literal = error { return .otherLiterals }
            return .impossible(object.describe(error, section: unit.section))
        }
        var confirmed = 0
        let globals = reader.globals
        for (number, symbol) in object.symbols.enumerated()
        where symbol.section == unit.section && globals[number] >= 0 && symbol.binding == .global {
            let address = place &+ symbol.value
            if let exports = shipped.exports[symbol.baseName] {
                guard exports.contains(where: { $0.address == address }) else {
                    return .impossible("\(symbol.name) is exported from another address")
                }
                confirmed += 1
            }
            // Of an indirect function this is only the resolver.
            if symbol.type == .indirectFunction { continue }
            facts.append(Fact(subject: .value(globals[number]), address: address))
        }
        let comparison = knowledge.compare(facts, object: unit.object)
        if let contradiction = comparison.contradiction {
            return .impossible(knowledge.describe(contradiction, object: unit.object, in: object))
        }
        return .possible(facts, confirmed: confirmed + comparison.confirmed, literals: reader.differingLiterals)
    }

    mutating func accept(_ index: Int, at place: Int, facts: [Fact], literals: Int) {
        let unit = units[index]
        units[index].places = [place]
        units[index].status = .placed
        knowledge.learn(facts, object: unit.object)
        differingLiterals[unit.object] += literals
        let range = place..<(place + unit.size)
        occupied.insert(range, at: firstOccupied(from: place))
    }

    private func firstOccupied(from address: Int) -> Int {
        var low = 0
        var high = occupied.count
        while low < high {
            let middle = (low + high) / 2
            if occupied[middle].lowerBound < address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func overlaps(_ range: Range<Int>) -> Bool {
        let index = firstOccupied(from: range.lowerBound)
        if index < occupied.count, occupied[index].lowerBound < range.upperBound { return true }
        return index > 0 && occupied[index - 1].upperBound > range.lowerBound
    }

    // MARK: - Result

    private func result() -> Placement {
        var results: [Placement.Object] = objects.enumerated().map { number, object in
            Placement.Object(
                name: object.name, code: [], functions: [], differingLiterals: differingLiterals[number],
                differingData: differingData[number])
        }
        for unit in units {
            var status = unit.status
            if status != .placed {
                if unit.places.isEmpty {
                    status = unit.contradiction.isEmpty ? .absent : .contradictory(unit.contradiction)
                } else {
                    status = .ambiguous(places: unit.places.count)
                }
            }
            let object = objects[unit.object]
            results[unit.object].code.append(
                Placement.CodeSection(
                    section: unit.section, name: object.sections[unit.section].name, size: unit.size, status: status,
                    occupiedPlaces: status == .placed ? [] : unit.occupiedPlaces))
            guard status == .placed else { continue }
            for symbol in object.symbols where symbol.section == unit.section && symbol.isFunction {
                results[unit.object].functions.append(
                    Placement.Function(
                        name: symbol.name, address: UInt64(unit.places[0] + symbol.value), size: UInt64(symbol.size)))
            }
        }
        return Placement(objects: results, contradictions: contradictions, knowledge: knowledge, files: objects)
    }
}

extension ObjectFile {
    /// A mismatch in words.
    func describe(_ mismatch: FieldReader.Mismatch, section: Int) -> String {
        let place = { (offset: Int) in "\(sections[section].name)+0x" + String(offset, radix: 16) }
        return switch mismatch {
        case .field(let offset): "the field at \(place(offset)) is nothing that the linker makes of its relocation"
        case .literal(let offset): "the literal that \(place(offset)) refers to differs"
        case .otherSymbol(let offset): "the field at \(place(offset)) leads to another symbol"
        case .unknownType(let offset): "the relocation at \(place(offset)) is of a type that is not understood"
        }
    }
}
