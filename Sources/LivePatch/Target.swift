//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One build of one ELF object, named by its build-id; never by path or version alone.
package struct Target: Sendable, Equatable {
    /// The contents of the `NT_GNU_BUILD_ID` note (20 bytes for GNU ld's SHA-1; 8 to 64 are accepted).
    package var buildID: [UInt8]
    /// `DT_SONAME`, or the file's name where there is none. For people.
    package var name: String
    /// The distribution's binary package and version the target was shipped in. For people.
    package var package: String
    /// Version of that package, as the distribution writes it.
    package var packageVersion: String
    /// `e_machine` of the target (62 is x86-64).
    package var machine: UInt16

    /// Makes a target's name of its parts.
    package init(buildID: [UInt8], name: String, package: String, packageVersion: String, machine: UInt16) {
        self.buildID = buildID
        self.name = name
        self.package = package
        self.packageVersion = packageVersion
        self.machine = machine
    }
}
