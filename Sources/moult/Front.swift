//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser
import Commands

/// `moult`: what people call. It explains and checks command lines, and hands over to the executable beside
/// it that does the work; it never acts itself.
@main
struct Front: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "moult",
            abstract: "Replace vulnerable code in running programs.",
            discussion: """
                A live patch replaces functions in one build of one library or executable, named by its \
                build-id. 'build' makes it, 'apply' puts it into processes, 'undo' takes it out.
                """,
            version: Release.version,
            groupedSubcommands: [
                CommandGroup(name: "Making live patches:", subcommands: [BuildCommand.self, InspectCommand.self]),
                CommandGroup(name: "Looking at processes:", subcommands: [TargetsCommand.self, StatusCommand.self]),
                CommandGroup(
                    name: "Changing processes:",
                    subcommands: [ApplyCommand.self, VerifyCommand.self, UndoCommand.self]),
            ])
    }
}
