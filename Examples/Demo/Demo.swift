//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Global variables of C such as stdout are not known to be safe; only one thread is running when this one is used.
@preconcurrency import Glibc

/// The demo: makes live patches for Debian's own OpenSSL, puts them into servers that are serving TLS, takes them out
/// and puts them in again, and shows what clients saw of it. Ends with 0 only if every check is met.
@main
struct Demo {
    static func main() {
        // Lines are seen when they are written, also in a pipe.
        setvbuf(stdout, nil, _IOLBF, 0)
        // A server that ends while a session is written to is a failed request and not the demo's end.
        signal(SIGPIPE, SIG_IGN)
        var environment: [String: String] = [:]
        for name in ["HOME", "MOULT_CACHE", "XDG_CACHE_HOME"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        do throws(DemoError) {
            let options = try DemoOptions(CommandLine.arguments, environment: environment)
            exit(try run(options))
        } catch {
            complain(error.reason)
            exit(error.code == .usage ? 64 : 1)
        }
    }

    private static func run(_ options: DemoOptions) throws(DemoError) -> Int32 {
        let workplace = try Workplace()
        let children = Children()
        let interruption = Interruption()
        try interruption.watch {
            children.endAll()
            workplace.remove()
        }
        defer {
            children.endAll()
            workplace.remove()
        }
        var story = try Story(options: options, runner: Runner(children: children, workplace: workplace))
        do throws(DemoError) {
            try story.tell()
        } catch {
            // What was found before the failure is worth seeing, and the failure is one more check.
            story.checks.expect("the demo reaches its end", false, found: error.reason)
        }
        story.report.print(story.checks)
        return story.checks.failed.isEmpty ? 0 : 1
    }

    private static func complain(_ text: String) {
        _ = "moult-demo: \(text)\n".withCString { write(2, $0, strlen($0)) }
    }
}
