//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

extension SourceFixture {
    /// Builds the patch of edits, runs it in every state and compares what it prints with the unpatched target,
    /// and with the target built anew from the edited sources: nobody has to know what the functions return.
    @discardableResult
    func prove(
        _ edits: [Edit], verdict: String = "automatic", functions: [String]? = nil, _ steps: [PatchDriver.Step],
        location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let after = try edited(edits)
        let outcome = try outcome(after)
        #expect(outcome.judgement.word == verdict, "\(outcome.judgement)", sourceLocation: location)
        if let functions { #expect(outcome.functions.map(\.name) == functions, sourceLocation: location) }
        let patch = try #require(outcome.patch, "\(outcome.judgement)", sourceLocation: location)
        try patch.validate()
        let old = try PatchDriver.run(target, kind: kind, steps, in: directory)
        let new = try PatchDriver.run(try rebuilt(after), kind: kind, steps, in: directory)
        // A difference that cannot be seen proves nothing.
        #expect(old != new, sourceLocation: location)
        let printed = try exercise(patch, steps)
        let isNew = printed.count == 5 ? [false, false, true, true, false] : [false, true, false]
        for (stage, lines) in printed.enumerated() {
            #expect(lines == (isNew[stage] ? new : old), "stage \(stage)", sourceLocation: location)
        }
        return outcome
    }

    /// Expects edits to be refused, with a reason of a code among others.
    @discardableResult
    func refuse(
        _ edits: [Edit], _ code: Reason.Code, word: String = "review",
        location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try outcome(edits)
        #expect(outcome.judgement.word == word, "\(outcome.judgement)", sourceLocation: location)
        #expect(
            outcome.judgement.reasons.map(\.code).contains(code), "\(outcome.judgement)", sourceLocation: location)
        #expect(outcome.patch == nil, sourceLocation: location)
        return outcome
    }
}
