//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The arguments of one command, parsed.
///
/// The front (`moult`) explains, completes and checks; the executables behind it must stay small, so they
/// share this parser, which knows long options and operands and nothing else. `--name value` and
/// `--name=value` mean the same, `--` ends the options, and an option may be given several times.
package struct Arguments: Sendable, Equatable {
    /// What stands there beside options, in order: files, identifiers.
    package private(set) var operands: [String] = []
    /// Names of the flags that were given, without dashes.
    private var flags: [String] = []
    /// Options with their values, in the order given, names without dashes.
    private var options: [Option] = []

    private struct Option: Sendable, Equatable {
        var name: String
        var value: String
    }

    /// Parses arguments.
    /// - Parameters:
    ///   - arguments: What follows the command's name.
    ///   - flags: Names of the options that take no value, without dashes.
    ///   - options: Names of the options that take a value, without dashes.
    /// - Throws: `UsageError` for an option that is not known, a value that is missing or one too many.
    package init(_ arguments: [String], flags: [String], options: [String]) throws(UsageError) {
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            guard argument.hasPrefix("-"), argument != "-" else {
                operands.append(argument)
                continue
            }
            if argument == "--" {
                operands.append(contentsOf: arguments[index...])
                break
            }
            guard argument.hasPrefix("--") else {
                throw UsageError("unknown option '\(argument)'")
            }
            let body = argument.dropFirst(2)
            let name: String
            var value: String?
            if let equals = body.firstIndex(of: "=") {
                name = String(body[..<equals])
                value = String(body[body.index(after: equals)...])
            } else {
                name = String(body)
            }
            if flags.contains(name) {
                guard value == nil else { throw UsageError("option '--\(name)' takes no value") }
                self.flags.append(name)
            } else if options.contains(name) {
                if value == nil, index < arguments.count {
                    value = arguments[index]
                    index += 1
                }
                guard let value else { throw UsageError("option '--\(name)' needs a value") }
                self.options.append(Option(name: name, value: value))
            } else {
                throw UsageError("unknown option '--\(name)'")
            }
        }
    }

    /// Whether a flag was given.
    package func has(_ flag: String) -> Bool {
        flags.contains(flag)
    }

    /// The last value of an option, or nil if it was not given.
    package func value(of option: String) -> String? {
        options.last { $0.name == option }?.value
    }

    /// All values of an option, in the order given.
    package func values(of option: String) -> [String] {
        options.filter { $0.name == option }.map(\.value)
    }
}
