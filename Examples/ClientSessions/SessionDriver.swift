//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Glibc
internal import Synchronization

/// Keeps TLS sessions to one server open and uses all of them all the time: writes on every session, then reads on
/// every session, again and again, until it is stopped. A session that breaks is never opened again.
package final class SessionDriver: Sendable {
    /// What happened so far.
    package struct Counts: Sendable, Equatable {
        /// Sessions that were opened.
        package var opened = 0
        /// Sessions that are still the ones that were opened.
        package var kept = 0
        /// Requests that were answered as they must be.
        package var answered = 0
        /// Requests that were not.
        package var failed = 0
        /// Requests that each session made at least.
        package var fewestOfASession = 0
        /// Longest time from a round's first write to its last answer, in ns.
        package var longestRound: UInt64 = 0
        /// What went wrong first.
        package var firstFailure: String?
    }

    private struct Question {
        var command: String
        var everywhere: Bool
        var answers: [String]?
    }

    private struct State {
        var counts = Counts()
        var question: Question?
        var stopping = false
        var stopped = true
    }

    private let port: UInt16
    private let exchange: Exchange
    private let context: ClientContext
    private let state = Mutex(State())
    private static let pause: UInt32 = 20_000

    /// Makes a driver for a port of 127.0.0.1; nothing is opened yet.
    /// - Parameter certificate: PEM file with the server's certificate.
    package init(port: UInt16, certificate: String, exchange: Exchange) throws(ClientError) {
        self.port = port
        self.exchange = exchange
        context = try ClientContext(certificate: certificate)
    }

    /// Opens the sessions and begins to use them, on a thread of its own.
    package func start(sessions count: Int) throws(ClientError) {
        var slots: [Slot] = []
        for _ in 0..<count { slots.append(Slot(try context.connect(port: port))) }
        state.withLock {
            $0.counts.opened = count
            $0.counts.kept = count
            $0.stopped = false
        }
        let handedOver = Unmanaged.passRetained(Work(driver: self, slots: slots))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                work.driver.run(work.slots)
                return nil
            }, handedOver.toOpaque())
        guard result == 0 else {
            handedOver.release()
            throw ClientError(code: .connect, reason: "no thread can be made (error \(result))")
        }
        pthread_detach(thread)
    }

    /// What happened so far.
    package var counts: Counts { state.withLock { $0.counts } }

    /// Asks the example's service something, on the first session or on every one.
    /// - Returns: one answer for each session that was asked; a session that broke has none.
    package func ask(_ command: String, everywhere: Bool) -> [String] {
        state.withLock { $0.question = Question(command: command, everywhere: everywhere, answers: nil) }
        while true {
            let (answers, stopped) = state.withLock { ($0.question?.answers, $0.stopped) }
            if let answers { return answers }
            if stopped { return [] }
            usleep(1000)
        }
    }

    /// Ends all sessions and waits until that is done.
    package func stop() {
        state.withLock { $0.stopping = true }
        while !state.withLock({ $0.stopped }) { usleep(1000) }
    }

    // MARK: - The driver's thread

    /// One session; a class, because an array cannot hold what is not copyable.
    private final class Slot {
        var session: ClientSession
        var broken = false
        var answered = 0
        init(_ session: consuming ClientSession) { self.session = session }
    }

    /// Carries the sessions over to their thread.
    private final class Work {
        let driver: SessionDriver
        let slots: [Slot]
        init(driver: SessionDriver, slots: [Slot]) {
            self.driver = driver
            self.slots = slots
        }
    }

    private func run(_ slots: [Slot]) {
        var number = 0
        while !state.withLock({ $0.stopping }) {
            number += 1
            round(slots, number)
            if let question = state.withLock({ $0.question }), question.answers == nil {
                let answers = ask(question, slots)
                state.withLock { $0.question?.answers = answers }
            }
            usleep(Self.pause)
        }
        state.withLock { $0.stopped = true }
    }

    private func round(_ slots: [Slot], _ number: Int) {
        let begin = now()
        // All requests are under way before the first answer is read.
        for slot in slots where !slot.broken {
            attempt(slot) { session throws(ClientError) in try session.send(exchange.request(number)) }
        }
        for slot in slots where !slot.broken {
            let done = attempt(slot) { session throws(ClientError) in try exchange.check(&session, number) }
            if done { slot.answered += 1 }
        }
        let time = now() - begin
        let fewest = slots.map(\.answered).min() ?? 0
        let answered = slots.reduce(0) { $0 + $1.answered }
        state.withLock {
            $0.counts.answered = answered
            $0.counts.fewestOfASession = fewest
            $0.counts.longestRound = max($0.counts.longestRound, time)
        }
    }

    private func ask(_ question: Question, _ slots: [Slot]) -> [String] {
        var answers: [String] = []
        for slot in question.everywhere ? slots : Array(slots.prefix(1)) where !slot.broken {
            attempt(slot) { session throws(ClientError) in
                try session.send(question.command + "\n")
                answers.append(try session.receive(until: "\n"))
            }
        }
        return answers
    }

    @discardableResult
    private func attempt(_ slot: Slot, _ body: (inout ClientSession) throws(ClientError) -> Void) -> Bool {
        do {
            try body(&slot.session)
            return true
        } catch {
            slot.broken = true
            state.withLock {
                $0.counts.failed += 1
                $0.counts.kept -= 1
                if $0.counts.firstFailure == nil { $0.counts.firstFailure = error.reason }
            }
            return false
        }
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
