//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What one relocated field of the shipped binary tells, if the section it is in lies where it is thought to.
struct Fact: Sendable {
    /// What it is about.
    enum Subject: Sendable, Hashable {
        /// The address that a global symbol was bound to.
        case value(Int)
        /// The PLT stub that calls of a global symbol were bound to.
        case stub(Int)
        /// The GOT slot of a global symbol.
        case slot(Int)
        /// The address of a section of the same object.
        case base(Int)
    }

    let subject: Subject
    let address: Int
}

/// What is known so far about symbols and sections.
struct Knowledge: Sendable {
    /// What is known of a global symbol.
    struct Symbol: Sendable {
        var value: Int?
        var stub: Int?
        var slot: Int?
    }

    /// Names of global symbols, by number.
    private(set) var names: [String] = []
    private(set) var numbers: [String: Int] = [:]
    /// By number.
    private(set) var symbols: [Symbol] = []
    /// Addresses of sections, by object and section.
    private(set) var bases: [[Int?]] = []

    /// Knows nothing but the names of global symbols and the numbers of sections.
    init(_ objects: [ObjectFile]) {
        for object in objects { bases.append([Int?](repeating: nil, count: object.sections.count)) }
    }

    /// The number of a global symbol.
    mutating func number(_ name: String) -> Int {
        if let number = numbers[name] { return number }
        numbers[name] = names.count
        names.append(name)
        symbols.append(Symbol())
        return names.count - 1
    }

    /// What is known about a subject.
    func known(_ subject: Fact.Subject, object: Int) -> Int? {
        switch subject {
        case .value(let number): symbols[number].value
        case .stub(let number): symbols[number].stub
        case .slot(let number): symbols[number].slot
        case .base(let section): bases[object][section]
        }
    }

    /// What comparing facts with what is known gives.
    struct Comparison {
        /// A fact that contradicts what is known, or another of the facts.
        var contradiction: Fact?
        /// How many facts were known before.
        var confirmed = 0
    }

    /// Compares facts with what is known and with each other.
    func compare(_ facts: [Fact], object: Int) -> Comparison {
        var result = Comparison()
        var fresh: [Fact.Subject: Int] = [:]
        for fact in facts {
            if let known = known(fact.subject, object: object) {
                guard known == fact.address else {
                    result.contradiction = fact
                    return result
                }
                result.confirmed += 1
            } else if let other = fresh.updateValue(fact.address, forKey: fact.subject), other != fact.address {
                result.contradiction = fact
                return result
            }
        }
        return result
    }

    /// Learns facts that do not contradict what is known.
    mutating func learn(_ facts: [Fact], object: Int) {
        for fact in facts {
            switch fact.subject {
            case .value(let number): symbols[number].value = fact.address
            case .stub(let number): symbols[number].stub = fact.address
            case .slot(let number): symbols[number].slot = fact.address
            case .base(let section): bases[object][section] = fact.address
            }
        }
    }

    /// A fact in words.
    func describe(_ fact: Fact, object: Int, in file: ObjectFile) -> String {
        let place = "0x" + String(fact.address, radix: 16)
        let before = known(fact.subject, object: object).map { ", not at 0x" + String($0, radix: 16) } ?? ""
        return switch fact.subject {
        case .value(let number): "\(names[number]) at \(place)\(before)"
        case .stub(let number): "PLT stub of \(names[number]) at \(place)\(before)"
        case .slot(let number): "GOT slot of \(names[number]) at \(place)\(before)"
        case .base(let section): "section \(file.sections[section].name) at \(place)\(before)"
        }
    }
}
