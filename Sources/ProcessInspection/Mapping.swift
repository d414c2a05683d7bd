//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One line of `/proc/PID/maps` (proc_pid_maps(5)).
package struct Mapping: Sendable, Equatable {
    /// Addresses, end excluded.
    package var range: Range<UInt64>
    /// `r`
    package var isReadable: Bool
    /// `w`
    package var isWritable: Bool
    /// `x`
    package var isExecutable: Bool
    /// `s` rather than `p`.
    package var isShared: Bool
    /// Offset in the file, in bytes.
    package var fileOffset: UInt64
    /// The device and inode that the line shows; zeros for anonymous memory. May differ from what stat(2)
    /// says on stacked file systems: compare `identity`, not this.
    package var shownFile: FileIdentity
    /// The file as stat(2) of `/proc/PID/map_files` tells it; where that needs a privilege that the tool lacks,
    /// the same as `shownFile`. Nil for anonymous and special memory.
    package var identity: FileIdentity?
    /// The path or special name (`[vdso]`, `[stack]`) as bytes, the kernel's escapes undone; empty for anonymous
    /// memory. A name for people: hostile, stale, and relative to a root directory that may not be ours.
    package var name: [UInt8]
    /// Whether the file has no name any more.
    package var isDeleted: Bool

    /// Whether there is no file and no special name behind it.
    package var isAnonymous: Bool { identity == nil && name.isEmpty }
    /// `name` for people: what is not UTF-8 or not printable is replaced.
    package var displayName: String { PrintableBytes.text(of: name) }

    /// Makes a mapping of its parts.
    package init(
        range: Range<UInt64>, isReadable: Bool, isWritable: Bool, isExecutable: Bool, isShared: Bool,
        fileOffset: UInt64, shownFile: FileIdentity, identity: FileIdentity?, name: [UInt8], isDeleted: Bool
    ) {
        self.range = range
        self.isReadable = isReadable
        self.isWritable = isWritable
        self.isExecutable = isExecutable
        self.isShared = isShared
        self.fileOffset = fileOffset
        self.shownFile = shownFile
        self.identity = identity
        self.name = name
        self.isDeleted = isDeleted
    }
}
