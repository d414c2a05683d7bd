//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The chain of frames of one thread, innermost first.
package struct Backtrace: Sendable, Equatable {
    /// One frame.
    package struct Frame: Sendable, Equatable {
        /// Where the frame executes (innermost frame, and frames that a signal interrupted) or will go on
        /// when its callee returns.
        package var instructionPointer: UInt64
        /// Whether `instructionPointer` is a return address: the call before it may be the last instruction
        /// of its function, so `instructionPointer - 1` tells which function it is.
        package var isReturnAddress: Bool
        /// The value that the stack pointer had in the caller before the call; nil when it is not known,
        /// which only the last frame of an incomplete backtrace can be.
        package var canonicalFrameAddress: UInt64?
        /// Whether the kernel made the frame to deliver a signal.
        package var isSignalFrame: Bool

        /// Makes a frame.
        package init(
            instructionPointer: UInt64, isReturnAddress: Bool, canonicalFrameAddress: UInt64?, isSignalFrame: Bool
        ) {
            self.instructionPointer = instructionPointer
            self.isReturnAddress = isReturnAddress
            self.canonicalFrameAddress = canonicalFrameAddress
            self.isSignalFrame = isSignalFrame
        }

        /// The address to look a function up by.
        package var lookupAddress: UInt64 { isReturnAddress ? instructionPointer &- 1 : instructionPointer }
    }

    /// How it ends.
    package enum Ending: Sendable, Equatable {
        /// The last frame is the thread's outermost one.
        case endOfStack
        /// There may be more frames. (The rest of the stack must then be scanned.)
        case incomplete(UnwindError)
    }

    /// The frames, innermost first.
    package var frames: [Frame]
    /// How it ends.
    package var ending: Ending

    /// Makes a backtrace.
    package init(frames: [Frame], ending: Ending) {
        self.frames = frames
        self.ending = ending
    }
}
