//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the builder thinks of a fix for one target. Whatever is not plainly safe is `review`.
package enum Judgement: Sendable, Equatable {
    /// Nothing differs: the fix does not touch this target.
    case empty
    /// Any mixture of old and new functions is safe.
    case automatic
    /// Safe only when no old function is on any stack.
    case quiescent([Reason])
    /// A person must decide; no file that can be applied is written.
    case review([Reason])
    /// The process must be restarted with the fixed package.
    case impossible([Reason])

    /// The word for it, as in JSON.
    package var word: String {
        switch self {
        case .empty: "empty"
        case .automatic: "automatic"
        case .quiescent: "quiescent"
        case .review: "review"
        case .impossible: "impossible"
        }
    }

    /// Why, in the order it was found.
    package var reasons: [Reason] {
        switch self {
        case .empty, .automatic: []
        case .quiescent(let reasons), .review(let reasons), .impossible(let reasons): reasons
        }
    }
}

extension Judgement {
    /// The judgement that reasons lead to: the heaviest decides.
    init(_ reasons: [Reason]) {
        switch reasons.map(\.weight).max() {
        case nil: self = .automatic
        case .quiescent: self = .quiescent(reasons)
        case .review: self = .review(reasons)
        case .impossible: self = .impossible(reasons)
        }
    }
}
