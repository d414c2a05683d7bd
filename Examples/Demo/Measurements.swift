//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How long a process stood still, measured from inside, in ns.
struct Gap {
    /// Longest time between two readings of the clock by a thread that does nothing else.
    var whole: Int
    /// The longest without the thread's waits for a CPU.
    var withoutWaiting: Int

    /// Reads the service's answer `gap A B`.
    init?(_ answer: String) {
        let words = answer.split(separator: " ")
        guard words.count == 3, words[0] == "gap", let whole = Int(words[1]), let rest = Int(words[2]) else {
            return nil
        }
        self.whole = whole
        withoutWaiting = rest
    }

    /// For people.
    var text: String { "\(milliseconds(whole)) (\(milliseconds(withoutWaiting)) without waits for a CPU)" }
}

/// Nanoseconds as milliseconds, for people.
func milliseconds(_ nanoseconds: Int) -> String { "\(decimal(Double(nanoseconds) / 1e6, places: 2)) ms" }

/// A number with a fixed number of decimal places.
func decimal(_ value: Double, places: Int) -> String {
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((value * Double(scale)).rounded())
    let fraction = String(scaled % scale)
    return "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
}

/// What the tool tells of one process that it changed.
struct StopReport {
    /// The process.
    var pid: Int
    /// Threads that were stopped.
    var threads: Int
    /// Longest time that they stood still, in ns, as the tool saw it.
    var longestStop: Int

    /// Reads the processes of a document that are done.
    static func read(_ document: JSON) -> [StopReport] {
        document["processes"].elements.compactMap { process in
            guard let pid = process["pid"].integer,
                ["done", "already-done"].contains(process["outcome"].string ?? "")
            else { return nil }
            return StopReport(
                pid: pid, threads: process["threads"].integer ?? 0,
                longestStop: process["longest-stop-ns"].integer ?? 0)
        }
    }
}
