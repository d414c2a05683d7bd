//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension Matcher {
    /// Places what is still ambiguous by the order in which the linker took the objects: sections of one
    /// name follow each other in the same order for every name (GNU ld's default script sorts none of
    /// them).
    ///
    /// The order is that of the placed `.text` sections. It is used only if the placed sections of the
    /// other name keep it too.
    mutating func settleByOrder() {
        var progress = true
        while progress {
            progress = false
            let reference = order(of: ".text")
            for index in units.indices where units[index].status != .placed && units[index].places.count >= 1 {
                if settleByOrder(index, reference: reference) { progress = true }
            }
            if progress { settle(tolerant: false) }
        }
    }

    /// Addresses of the placed sections with a name, by object.
    private func order(of name: String) -> [Int: Int] {
        var result: [Int: Int] = [:]
        for unit in units where unit.status == .placed && objects[unit.object].sections[unit.section].name == name {
            result[unit.object] = unit.places[0]
        }
        return result
    }

    private mutating func settleByOrder(_ index: Int, reference: [Int: Int]) -> Bool {
        let unit = units[index]
        let name = objects[unit.object].sections[unit.section].name
        let sameName = name == ".text" ? reference : order(of: name)
        // What tells the order of the object itself: its `.text`, or its number where it has none placed and
        // the numbers were seen to be the order.
        let keys: [Int: Int]
        if let own = reference[unit.object], name != ".text" {
            keys = reference
            _ = own
        } else {
            keys = Dictionary(uniqueKeysWithValues: objects.indices.map { ($0, $0) })
        }
        guard let own = keys[unit.object] else { return false }
        let neighbours = sameName.compactMap { object, place in keys[object].map { (key: $0, place: place) } }
            .sorted { $0.key < $1.key }
        guard zip(neighbours, neighbours.dropFirst()).allSatisfy({ $0.place < $1.place }) else { return false }
        let before = neighbours.last { $0.key < own }?.place ?? Int.min
        let after = neighbours.first { $0.key > own }?.place ?? Int.max
        // Without a neighbour on either side nothing is known.
        guard before != Int.min || after != Int.max else { return false }
        let left = unit.places.filter { $0 > before && $0 < after }
        guard left.count == 1, case .possible(let facts, _, let literals) = examine(index, at: left[0], tolerant: false)
        else { return false }
        accept(index, at: left[0], facts: facts, literals: literals)
        return true
    }
}
