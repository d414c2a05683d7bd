//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension DebugInformation {
    /// Where functions are described, by their names and linkage names. A function can have several entries: what it
    /// was made of, copies that the compiler specialised, and declarations.
    ///
    /// - Throws: `DWARFError` where a name cannot be read.
    package func functions() throws(DWARFError) -> [String: [EntryID]] {
        var result: [String: [EntryID]] = [:]
        for (number, entry) in table.entries.enumerated() where entry.tag == .subprogram {
            var names: Set<String> = []
            var next: Int? = number
            for _ in 0..<Self.longestChain {
                guard let current = next else { break }
                if let name = try linkageName(of: current) { names.insert(name) }
                if let name = try text(.name, of: current) { names.insert(name) }
                next = try origin(of: current)
            }
            for name in names { result[name, default: []].append(EntryID(number: number)) }
        }
        return result
    }

    /// All types that functions use: those of results, parameters, variables and blocks, also of functions that are
    /// inlined in them, and what these types are made of or point to.
    ///
    /// A type that is used in a cast or in `sizeof` only is not among them: DWARF does not tell.
    ///
    /// - Throws: `DWARFError` where an entry refers to what is not there.
    package func typesUsed(by functions: [EntryID]) throws(DWARFError) -> Set<EntryID> {
        var seenFunctions = Set(functions.map(\.number))
        var pendingFunctions = functions.map(\.number)
        var seen: Set<Int> = []
        var pending: [Int] = []
        func use(_ type: EntryID?) {
            if let type, seen.insert(type.number).inserted { pending.append(type.number) }
        }
        while let function = pendingFunctions.popLast() {
            for number in function..<table.entries[function].end {
                use(try target(of: number))
                let tag = table.entries[number].tag
                guard tag == .inlinedSubroutine || tag == .subprogram else { continue }
                for attribute in [Attribute.abstractOrigin, .specification] {
                    guard let other = try reference(attribute, of: number) else { continue }
                    if seenFunctions.insert(other).inserted { pendingFunctions.append(other) }
                }
            }
        }
        while let number = pending.popLast() {
            use(try target(of: number))
            switch table.entries[number].tag {
            case .structureType, .classType, .unionType, .subroutineType:
                for child in table.children(of: number) {
                    switch table.entries[child].tag {
                    case .member, .inheritance, .formalParameter: use(try target(of: child))
                    default: break
                    }
                }
            default: break
            }
        }
        return Set(seen.map { EntryID(number: $0) })
    }
}
