//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension DebugInformation {
    /// The name of a type with those of what it is in: `name`, `space::name`, `function::name`. A type without a
    /// name of its own has that of its typedef, or of the member or variable that is made of it:
    /// `structure.member`. Nil where nothing names it.
    ///
    /// - Throws: `DWARFError` where names lead in a circle or cannot be read.
    package func name(of id: EntryID) throws(DWARFError) -> String? {
        var depth = Self.longestChain
        return try qualifiedName(of: id.number, depth: &depth)
    }

    /// The same for any entry.
    func qualifiedName(of entry: Int) throws(DWARFError) -> String? {
        var depth = Self.longestChain
        return try qualifiedName(of: entry, depth: &depth)
    }

    private func qualifiedName(of entry: Int, depth: inout Int) throws(DWARFError) -> String? {
        depth -= 1
        guard depth > 0 else {
            throw DWARFError(.limitExceeded, at: table.entries[entry].offset, "names are nested too deep")
        }
        var place = entry
        var own = try text(.name, of: entry)
        if own == nil {
            if let owner = owners[entry] { return try name(ofOwner: owner, depth: &depth) }
            if let other = try origin(of: entry) {
                return try qualifiedName(of: other, depth: &depth)
            }
            if table.entries[entry].tag == .namespace { own = "(anonymous)" }
        }
        guard let own else { return nil }
        // A definition may stand apart from its declaration, which is where its name belongs.
        if let declaration = try reference(.specification, of: entry) { place = declaration }
        while true {
            place = table.entries[place].parent
            guard place >= 0 else { return own }
            switch table.entries[place].tag {
            case .namespace, .structureType, .classType, .unionType, .enumerationType, .subprogram:
                guard let outer = try qualifiedName(of: place, depth: &depth) else { return own }
                return "\(outer)::\(own)"
            default: continue
            }
        }
    }

    private func name(ofOwner owner: Int, depth: inout Int) throws(DWARFError) -> String? {
        guard table.entries[owner].tag == .member else { return try qualifiedName(of: owner, depth: &depth) }
        let parent = table.entries[owner].parent
        guard parent >= 0, let outer = try qualifiedName(of: parent, depth: &depth) else { return nil }
        if let own = try text(.name, of: owner) { return "\(outer).\(own)" }
        let unnamed = table.children(of: parent).filter {
            table.entries[$0].tag == .member && table.value(.name, of: $0) == nil
        }
        return "\(outer).(\((unnamed.firstIndex(of: owner) ?? 0) + 1))"
    }

    /// The name that the symbol of a function or variable has, where it is told.
    func linkageName(of entry: Int) throws(DWARFError) -> String? {
        if let name = try text(.linkageName, of: entry) { return name }
        return try text(.linkageNameMIPS, of: entry)
    }

    // MARK: - Spelling

    /// A type as C would write it, for people: `const struct record *[4]`.
    ///
    /// - Parameter id: the type; nil for `void`.
    /// - Throws: `DWARFError` where types lead in a circle or are too large to be written.
    package func spelling(of id: EntryID?) throws(DWARFError) -> String {
        var steps = 256
        return try spelling(of: id, declarator: "", steps: &steps)
    }

    private func spelling(
        of id: EntryID?, declarator: String, steps: inout Int
    ) throws(DWARFError) -> String {
        guard let id else { return Self.joined("void", declarator) }
        steps -= 1
        guard steps > 0, declarator.utf8.count < 4096 else {
            throw DWARFError(.limitExceeded, at: offset(of: id), "a type is too large to be written")
        }
        let type = try type(id)
        switch type.kind {
        case .structure, .class, .union, .enumeration:
            return Self.joined("\(type.kind.rawValue) \(try name(of: type.id) ?? "(unnamed)")", declarator)
        case .typedef, .base, .unspecified: return Self.joined(try name(of: type.id) ?? "(unnamed)", declarator)
        case .pointer: return try spelling(of: type.target, declarator: "*" + declarator, steps: &steps)
        case .reference: return try spelling(of: type.target, declarator: "&" + declarator, steps: &steps)
        case .rvalueReference: return try spelling(of: type.target, declarator: "&&" + declarator, steps: &steps)
        case .memberPointer: return try spelling(of: type.target, declarator: "::*" + declarator, steps: &steps)
        case .const, .volatile, .restrict, .atomic:
            // A qualifier of a pointer stands behind it, that of an array is also its elements', all others stand
            // before the type.
            if let target = type.target {
                let kind = try self.type(target).kind
                if kind == .pointer {
                    return try spelling(of: target, declarator: " \(type.kind.rawValue)\(declarator)", steps: &steps)
                }
                if kind == .array { return try spelling(of: target, declarator: declarator, steps: &steps) }
            }
            return type.kind.rawValue + " " + (try spelling(of: type.target, declarator: declarator, steps: &steps))
        case .array:
            let counts = counts(of: type.id).map { "[\($0.map(String.init) ?? "")]" }.joined()
            let inner = declarator.hasPrefix("*") || declarator.hasPrefix("&") ? "(\(declarator))" : declarator
            return try spelling(of: type.target, declarator: inner + counts, steps: &steps)
        case .function:
            let parameters = try parameters(of: type.id)
            var texts: [String] = []
            for parameter in parameters.types {
                texts.append(try spelling(of: parameter, declarator: "", steps: &steps))
            }
            if parameters.isVariadic { texts.append("...") }
            let inner = declarator.isEmpty ? "" : "(\(declarator))"
            return try spelling(
                of: type.target, declarator: "\(inner)(\(texts.joined(separator: ", ")))", steps: &steps)
        }
    }

    private static func joined(_ type: String, _ declarator: String) -> String {
        declarator.isEmpty || declarator.hasPrefix("[") ? type + declarator : "\(type) \(declarator)"
    }
}
