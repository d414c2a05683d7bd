//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Mutation

/// One change of the sources, and what is known of it since it was made on purpose.
struct Mutant: Sendable {
    var kind: MutationClass
    var files: [SourceFixture.File]
    /// Functions whose code may differ: the edited ones, and those that they may be inlined into; empty where any
    /// may.
    var mayChange: Set<String>
    var text: String
}

/// Makes changes of the mutable sources.
struct Mutator {
    private var generator = SeededGenerator(seed: 20_260_101)
    private var seen: Set<String> = []
    private let files = MutableSources.files
    private let sources = MutableSources.files.map { TokenizedSource($0.text) }
    private let functions: [[TokenizedSource.Function]]

    init() { functions = sources.map(\.functions) }

    /// As many different changes of each class as it names.
    mutating func mutants(_ counts: [(MutationClass, Int)]) -> [Mutant] {
        counts.flatMap { kind, count in
            var result: [Mutant] = []
            var attempts = 0
            while result.count < count, attempts < count * 100 {
                attempts += 1
                guard let mutant = mutant(kind), seen.insert(mutant.files.map(\.text).joined()).inserted else {
                    continue
                }
                result.append(mutant)
            }
            return result
        }
    }

    private mutating func mutant(_ kind: MutationClass) -> Mutant? {
        switch kind {
        case .fieldOrder: fieldOrder()
        case .initialiser: initialiser()
        case .signature: signature()
        case .movedFunction: movedFunction()
        case .inlineFunction: inFunction(kind, file: 0)
        default: inFunction(kind, file: 1 + Int(generator.next() % 3))
        }
    }

    private mutating func inFunction(_ kind: MutationClass, file: Int) -> Mutant? {
        let source = sources[file]
        guard let function = functions[file].randomElement(using: &generator) else { return nil }
        let edit = kind == .inlineFunction ? MutationClass.constant : kind
        guard let text = TokenMutation.apply(edit, to: function, of: source, using: &generator) else { return nil }
        return mutant(
            kind, [(file, text)], mayChange: reach(of: function, in: source), "\(files[file].name): \(function.name)")
    }

    private func mutant(
        _ kind: MutationClass, _ texts: [(Int, String)], mayChange: Set<String>, _ text: String
    ) -> Mutant {
        var files = files
        for (index, text) in texts { files[index].text = text }
        return Mutant(kind: kind, files: files, mayChange: mayChange, text: text)
    }

    /// A function, all that call it, and all that call what it calls: of a static function there is one clone less or
    /// more where one of its callers asks for another thing.
    private func reach(of function: TokenizedSource.Function, in source: TokenizedSource) -> Set<String> {
        function.body.reduce(into: callers(of: function.name)) { result, index in
            if TokenMutation.isCall(index, in: source) { result.formUnion(callers(of: source.text(index))) }
        }
    }

    /// A function and all that call it, directly or not, in any file.
    private func callers(of name: String) -> Set<String> {
        var result: Set<String> = [name]
        var isGrowing = true
        while isGrowing {
            isGrowing = false
            for (source, functions) in zip(sources, functions) {
                for function in functions where !result.contains(function.name) {
                    let calls = function.body.contains { index in
                        TokenMutation.isCall(index, in: source) && result.contains(source.text(index))
                    }
                    if calls {
                        result.insert(function.name)
                        isGrowing = true
                    }
                }
            }
        }
        return result
    }

    /// Two fields of the structure change places.
    private mutating func fieldOrder() -> Mutant? {
        var fields = ["length", "width", "barbs", "colour", "age"]
        let old = fields.map { "int \($0); " }.joined()
        fields.swapAt(Int(generator.next() % 5), Int(generator.next() % 5))
        let new = fields.map { "int \($0); " }.joined()
        guard new != old, let range = files[0].text.firstRange(of: old) else { return nil }
        return mutant(
            .fieldOrder, [(0, files[0].text.replacingCharacters(in: range, with: new))], mayChange: [],
            fields.joined(separator: " "))
    }

    /// A number in the initialiser of a variable or constant at the outermost level.
    private mutating func initialiser() -> Mutant? {
        let file = 1 + Int(generator.next() % 2)
        let source = sources[file]
        let inside = functions[file].map(\.body)
        let places = source.tokens.indices.filter { index in
            source.tokens[index].kind == .decimal && !inside.contains { $0.contains(index) }
                && ["{", ",", "="].contains(source.text(index - 1))
        }
        guard let index = places.randomElement(using: &generator), let value = Int(source.text(index)) else {
            return nil
        }
        let text = source.replacing(source.tokens[index].range, with: String(value + 1))
        return mutant(.initialiser, [(file, text)], mayChange: [], "\(files[file].name): initialiser \(value)")
    }

    /// A parameter more, at the definition, the prototypes and all calls.
    private mutating func signature() -> Mutant? {
        let names = MutableSources.internalByHeader + MutableSources.internalByFile + MutableSources.internalByFile
        guard let name = names.randomElement(using: &generator) else { return nil }
        let value = Int(generator.next() % 90)
        var texts: [(Int, String)] = []
        for (index, source) in sources.enumerated() {
            var text = source.bytes
            for token in source.tokens.indices.reversed()
            where source.text(token) == name && TokenMutation.isCall(token, in: source) {
                guard let end = source.closing(token + 1) else { return nil }
                let isDeclared = source.text(token - 1) == "int"
                let place = source.tokens[end].range.lowerBound
                if isDeclared, source.text(end + 1) == "{" {
                    let body = source.tokens[end + 1].range.upperBound
                    text.insert(contentsOf: Array(" a = a + extra;".utf8), at: body)
                }
                text.insert(contentsOf: Array((isDeclared ? ", int extra" : ", \(value)").utf8), at: place)
            }
            if text != source.bytes { texts.append((index, String(decoding: text, as: UTF8.self))) }
        }
        return mutant(.signature, texts, mayChange: [], "\(name): one more parameter, \(value)")
    }

    /// Two functions of a file change places.
    private mutating func movedFunction() -> Mutant? {
        let file = 1 + Int(generator.next() % 3)
        // A definition begins at the start of a line and ends with a brace there, or on its own line.
        var parts: [String] = []
        for line in files[file].text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.first == " " || line.first == "}", var last = parts.popLast() {
                last += "\n" + line
                parts.append(last)
            } else {
                parts.append(String(line))
            }
        }
        let movable = parts.indices.filter { index in
            parts[index].hasSuffix("}")
                && MutableSources.exported.contains { parts[index].hasPrefix("int \($0)(int x) {") }
        }
        guard let first = movable.randomElement(using: &generator),
            let second = movable.randomElement(using: &generator), first != second
        else { return nil }
        parts.swapAt(first, second)
        return mutant(
            .movedFunction, [(file, parts.joined(separator: "\n"))], mayChange: [],
            "\(files[file].name): \(first) \(second)")
    }
}
