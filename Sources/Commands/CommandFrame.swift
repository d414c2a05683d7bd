//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Glibc

/// What every executable does around its work: ignore broken pipes, report failures in the format that was
/// asked for, end with the right code.
package enum CommandFrame {
    /// The arguments behind the executable's name.
    package static var arguments: [String] { Array(CommandLine.arguments.dropFirst()) }

    /// Runs one command and ends the process.
    /// - Parameters:
    ///   - command: Its name, for messages.
    ///   - arguments: Its arguments.
    ///   - body: The work; its exit code becomes the process's.
    package static func run(
        _ command: String, _ arguments: Result<Arguments, UsageError>,
        _ body: (Arguments, OutputFormat) throws(CommandError) -> ExitCode
    ) -> Never {
        // A reader that goes away must not end a command in the middle of its work.
        _ = signal(SIGPIPE, SIG_IGN)
        let (arguments, format) = begin(command, arguments)
        do throws(CommandError) {
            end(try body(arguments, format))
        } catch {
            end(command, error, format)
        }
    }

    /// The same for work that waits for other programs. Broken pipes are not ignored: programs that are started
    /// would inherit that.
    package static func run(
        _ command: String, _ arguments: Result<Arguments, UsageError>,
        _ body: (Arguments, OutputFormat) async throws(CommandError) -> ExitCode
    ) async -> Never {
        let (arguments, format) = begin(command, arguments)
        do throws(CommandError) {
            end(try await body(arguments, format))
        } catch {
            end(command, error, format)
        }
    }

    private static func begin(
        _ command: String, _ arguments: Result<Arguments, UsageError>
    ) -> (Arguments, OutputFormat) {
        do throws(UsageError) {
            let parsed = try arguments.get()
            return (parsed, try parsed.format())
        } catch {
            usage(command, error)
        }
    }

    private static func end(_ command: String, _ error: CommandError, _ format: OutputFormat) -> Never {
        switch error {
        case .usage(let error): usage(command, error)
        case .failure(let failure, let code):
            failure.report(command: command, format: format)
            end(code)
        }
    }

    /// Reports a wrong command line and ends the process. Always text: who gets the command wrong gets no document.
    package static func usage(_ command: String, _ error: UsageError) -> Never {
        StandardStream.error.write(line: "moult \(command): \(error.reason.printable)")
        StandardStream.error.write(line: "  See 'moult help \(command.printable)'.")
        end(.usage)
    }

    /// Ends the process.
    package static func end(_ code: ExitCode) -> Never {
        exit(code.rawValue)
    }
}

/// Why a command ends without having done its work.
package enum CommandError: Error {
    /// The command line is wrong.
    case usage(UsageError)
    /// It was refused, or it failed.
    case failure(Failure, ExitCode)
}
