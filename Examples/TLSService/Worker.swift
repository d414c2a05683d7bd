//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// One thread's work: takes connections from the listener and serves them until they end.
struct Worker {
    /// Where connections come from.
    let listener: Listener
    /// Makes a session of a connection.
    let context: TLSContext
    /// Answers lines.
    let commands: Commands

    /// Serves for ever.
    func run() {
        // A class around the session, because an array cannot hold what is not copyable.
        final class Slot {
            var session: Session
            init(_ session: consuming Session) { self.session = session }
        }
        var slots: [Slot] = []
        while true {
            var entries = [pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)]
            entries += slots.map { pollfd(fd: $0.session.descriptor, events: Int16(POLLIN), revents: 0) }
            guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
            var ended: [Int] = []
            for (index, slot) in slots.enumerated() where entries[index + 1].revents != 0 {
                if !slot.session.advance(commands) { ended.append(index) }
            }
            for index in ended.reversed() { slots.remove(at: index) }
            if entries[0].revents != 0, let connection = listener.accept() {
                if let session = context.session(connection) {
                    slots.append(Slot(session))
                } else {
                    close(connection)
                }
            }
        }
    }
}
