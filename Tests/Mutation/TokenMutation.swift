//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A kind of change of a source, and what must come of it.
package enum MutationClass: String, Sendable, CaseIterable {
    case constant, condition, call
    case fieldOrder = "field order"
    case initialiser, signature
    case inlineFunction = "inline function in a header"
    case comment = "control: comment"
    case whitespace = "control: whitespace"
    case renamedLocal = "control: renamed local variable"
    case movedFunction = "control: moved function"

    /// Whether it changes nothing.
    package var isControl: Bool { rawValue.hasPrefix("control") }

    /// Whether it must never be applied without a person's decision.
    package var isNeverAutomatic: Bool {
        switch self {
        case .fieldOrder, .initialiser: true
        default: false
        }
    }
}

/// Changes of one token, or none, in a function.
package enum TokenMutation {
    private static let conditions = ["==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"]

    /// The text after one change of the class in the function; nil where the function has no place for it.
    package static func apply(
        _ kind: MutationClass, to function: TokenizedSource.Function, of source: TokenizedSource,
        using generator: inout SeededGenerator
    ) -> String? {
        switch kind {
        case .constant:
            // One more in a label may be another label, and the initialiser of a variable that lasts is data.
            return pick(in: function, of: source, using: &generator) { index in
                source.tokens[index].kind == .decimal && source.text(index - 1) != "case"
                    && !(index > 3 && source.text(index - 4) == "static")
            }
            .flatMap { index in
                Int(source.text(index)).map { source.replacing(source.tokens[index].range, with: String($0 + 1)) }
            }
        case .condition:
            // `<` and `>` with a type before or an operator of shifting are others.
            return pick(in: function, of: source, using: &generator) { conditions[source.text($0)] != nil }
                .map { source.replacing(source.tokens[$0].range, with: conditions[source.text($0)] ?? "") }
        case .call:
            let index = pick(in: function, of: source, using: &generator) { index in
                isCall(index, in: source) && source.closing(index + 1).map { $0 > index + 2 } ?? false
            }
            return index.map { index in
                let end = source.tokens[index + 1].range.upperBound
                return source.replacing(end..<end, with: "1 + ")
            }
        case .comment, .whitespace:
            let index = pick(in: function, of: source, using: &generator) { $0 > function.body.lowerBound }
            return index.map { index in
                let start = source.tokens[index].range.lowerBound
                let text = kind == .comment ? "/* nothing \(generator.next() % 1000) */ " : "\n  \t\n "
                return source.replacing(start..<start, with: text)
            }
        case .renamedLocal: return renamed(function, of: source, using: &generator)
        default: return nil
        }
    }

    /// Whether a token is the name in a call.
    package static func isCall(_ index: Int, in source: TokenizedSource) -> Bool {
        let keywords: Set<String> = ["if", "while", "for", "switch", "return", "sizeof", "int", "void"]
        return source.tokens[index].kind == .identifier && index + 1 < source.tokens.count
            && source.isSymbol(index + 1, "(") && !keywords.contains(source.text(index))
    }

    private static func pick(
        in function: TokenizedSource.Function, of source: TokenizedSource, using generator: inout SeededGenerator,
        where condition: (Int) -> Bool
    ) -> Int? {
        function.body.filter(condition).randomElement(using: &generator)
    }

    /// Gives a variable that is declared as `int name =` another name.
    private static func renamed(
        _ function: TokenizedSource.Function, of source: TokenizedSource, using generator: inout SeededGenerator
    ) -> String? {
        let declared = function.body.dropFirst(2).filter { index in
            source.tokens[index].kind == .identifier && source.text(index - 1) == "int"
                && ["=", ";"].contains(source.text(index + 1)) && source.text(index - 2) != "static"
        }
        guard let chosen = declared.randomElement(using: &generator) else { return nil }
        let old = source.text(chosen)
        var result = source.bytes
        let new = Array("\(old)_\(generator.next() % 100)".utf8)
        for index in function.body.reversed() where source.text(index) == old {
            // A member of that name is another thing.
            guard ![".", "->"].contains(source.text(index - 1)) else { continue }
            result.replaceSubrange(source.tokens[index].range, with: new)
        }
        return String(decoding: result, as: UTF8.self)
    }
}
