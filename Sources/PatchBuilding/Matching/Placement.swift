//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Where the rebuilt objects lie in the shipped binary, and what that tells about their symbols.
package struct Placement: Sendable {
    /// What became of one section of one object.
    package enum Status: Sendable, Equatable {
        /// It lies at the one place where it can lie.
        case placed
        /// There are several places, or one that too little speaks for.
        case ambiguous(places: Int)
        /// The shipped binary does not contain it.
        case absent
        /// It is contained, but contradicts what other sections tell.
        case contradictory(String)
    }

    /// A section of code and what became of it.
    package struct CodeSection: Sendable {
        /// Index of the section in the object.
        package var section: Int
        /// Its name.
        package var name: String
        /// Its size in bytes.
        package var size: Int
        /// What became of it.
        package var status: Status
        /// Addresses at which it was not placed since another section was found there, though its bytes are: the
        /// linker may have made one of both.
        var occupiedPlaces: Set<Int> = []
    }

    /// A function of an object, with the address that matching found.
    package struct Function: Sendable, Equatable {
        /// Its name.
        package var name: String
        /// Target-relative address.
        package var address: UInt64
        /// Its size in bytes.
        package var size: UInt64
    }

    /// What matching found about one object.
    package struct Object: Sendable {
        /// The object's name within the build.
        package var name: String
        /// Its sections of code.
        package var code: [CodeSection]
        /// The functions in sections that are placed, in the order of the symbol table.
        package var functions: [Function]
        /// How many strings and constants differ in the shipped binary (a path that was compiled in).
        package var differingLiterals: Int
        /// Data that the shipped binary holds with other contents, as sentences.
        package var differingData: [String]
    }

    /// The objects, as they were given.
    package var objects: [Object]
    /// Objects or sections that contradict each other, as sentences; empty if all is consistent.
    package var contradictions: [String]

    /// All that is known about symbols and sections.
    let knowledge: Knowledge
    /// Plain objects, as read.
    let files: [ObjectFile]

    /// The address of a symbol that is defined in an object, or nil where its section is not placed.
    func address(ofSymbol index: Int, in object: Int) -> Int? {
        let symbol = files[object].symbols[index]
        guard let section = symbol.section, let base = knowledge.bases[object][section] else { return nil }
        return base &+ symbol.value
    }

    /// What is known about a global symbol.
    func global(_ name: String) -> Knowledge.Symbol? {
        guard let number = knowledge.numbers[name] else { return nil }
        return knowledge.symbols[number]
    }
}
