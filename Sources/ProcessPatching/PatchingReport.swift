//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import PatchPlan
package import ProcessInspection

/// What became of one process.
package enum Outcome: Sendable, Equatable {
    /// It is as it was asked for.
    case done
    /// It was so already; nothing was changed.
    case alreadyDone
    /// It would be done; nothing was changed (`--dry-run`).
    case possible
    /// Refused, and nothing was changed.
    case refused(Refusal)
    /// Threads were in the way until the deadline; nothing was changed.
    case busy([BusyThread])
    /// Something that passes by itself was in the way until the deadline; nothing was changed.
    case notYet(Refusal)
    /// It failed half-way. `TransactionReport.state` says how far it is; the next run completes it either way.
    case failed(String)
}

/// One transaction in one process.
package struct TransactionReport: Sendable, Equatable {
    /// Its name: SHA-256.
    package var identifier: [UInt8]
    /// Its patches.
    package var patches: [PatchReport]
    /// How far it is.
    package var state: TransactionState

    /// One patch of it.
    package struct PatchReport: Sendable, Equatable {
        /// The patch's name.
        package var identifier: String
        /// SHA-256 of its file.
        package var digest: [UInt8]
        /// The target's name.
        package var target: String
        /// The target's build-id.
        package var buildID: [UInt8]
        /// Version of the package.
        package var packageVersion: String
        /// What it fixes.
        package var cves: [String]
        /// What part of the fix it is, empty for all of it.
        package var partOf: String
        /// The functions it replaces.
        package var functions: [String]
        /// Address of its patch memory.
        package var address: UInt64
    }

    /// Tells of a transaction as it was found.
    package init(_ found: FoundTransaction) {
        identifier = found.members.first?.transaction ?? []
        state = found.state
        patches = found.members.map { member in
            PatchReport(
                identifier: member.labels.identifier, digest: member.patchDigest, target: member.labels.targetName,
                buildID: member.buildID, packageVersion: member.labels.packageVersion, cves: member.labels.cves,
                partOf: member.labels.partOf, functions: member.entries.map(\.name), address: member.address)
        }
    }
}

/// What was done to one process, and what it cost it.
package struct PatchingReport: Sendable, Equatable {
    /// The process; nil if it could not even be held.
    package var instance: ProcessInstance?
    /// Its pid.
    package var pid: Int32
    /// What became of it.
    package var outcome: Outcome
    /// The transaction, if there is one.
    package var transaction: TransactionReport?
    /// Longest time that its threads stood still, in nanoseconds.
    package var longestStop: Int64 = 0
    /// How often they were stopped.
    package var stops = 0
    /// How many threads were stopped.
    package var threads = 0

    /// Makes a report.
    package init(pid: Int32, outcome: Outcome) {
        self.pid = pid
        self.outcome = outcome
    }
}

/// What was found when one process was compared with what it must be.
package struct VerificationReport: Sendable, Equatable {
    /// The process; nil if it could not even be held.
    package var instance: ProcessInstance?
    /// Its pid.
    package var pid: Int32
    /// The transactions that were compared.
    package var transactions: [TransactionReport] = []
    /// What differs; empty if nothing does.
    package var differences: [Difference] = []
    /// Why it could not be compared, nil if it could.
    package var refusal: Refusal?

    /// Makes a report.
    package init(pid: Int32) { self.pid = pid }

    /// Whether everything is applied, and as it must be.
    package var isWhole: Bool { refusal == nil && differences.isEmpty && !transactions.isEmpty }
}
