//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import ProcessObservation

@testable import PatchPlan
@testable import ProcessInspection

/// Observations made up for tests of what is decided from them.
enum Samples {
    /// A build of a library by a letter: its build-id is that letter, twenty times.
    static func buildID(_ letter: Character) -> [UInt8] {
        [UInt8](repeating: letter.asciiValue ?? 0, count: 20)
    }

    /// The digest of the file of a patch with this name.
    static func digest(_ name: String) -> [UInt8] {
        Array((Array(name.utf8) + [UInt8](repeating: 0, count: 32)).prefix(32))
    }

    static func object(_ letter: Character, bias: UInt64 = 0x10_0000, isDeleted: Bool = false) -> LoadedObject {
        LoadedObject(
            kind: .library, name: Array("/usr/lib/lib\(letter).so".utf8), identity: FileIdentity(device: 1, inode: 2),
            isDeleted: isDeleted, buildID: buildID(letter), machine: 62, type: 3, loadBias: bias,
            segments: [LoadedSegment(range: 0..<0x1_0000, fileOffset: 0, fileSize: 0x1_0000, flags: 5)],
            unwindHeader: nil, dynamicSection: nil)
    }

    static func wanted(_ name: String, for letter: Character) -> WantedPatch {
        WantedPatch(
            file: "\(name).moult", identifier: name, digest: digest(name),
            target: Target(
                buildID: buildID(letter), name: "lib\(letter).so", package: "lib\(letter)", packageVersion: "1",
                machine: 62),
            cves: [name])
    }

    static func patch(
        _ name: String, for letter: Character, _ state: TransactionState = .applied, bias: UInt64 = 0x10_0000,
        entry: UInt64 = 0x1000
    ) -> ObservedPatch {
        let address: UInt64 = 0x8_0000
        return ObservedPatch(
            memory: PatchMemory(
                address: address, patchDigest: digest(name), transaction: digest("t"), members: [address],
                buildID: buildID(letter), loadBias: bias, verdict: .automatic, machine: 62, headerSize: 512,
                codeSize: 64, constantsOffset: 64, unwindOffset: 80, imageSize: 96, imageDigest: digest("i"),
                entries: [
                    PlacedEntry(
                        name: "f", address: bias + entry, size: 32, original: [UInt8](repeating: 0x90, count: 16),
                        expectedDigest: digest("e"), masked: [],
                        replacement: AddressRange(lower: address + 512, upper: address + 544), gate: nil,
                        gateOriginal: 0)
                ],
                labels: PatchMemory.Labels(
                    identifier: name, targetName: "lib\(letter).so", package: "lib\(letter)", packageVersion: "1",
                    cves: [name], partOf: "", requires: [])),
            state: state)
    }

    static func process(
        _ pid: Int32, _ objects: [LoadedObject], _ patches: [ObservedPatch] = [], name: String = "server",
        reasons: [Patchability.Reason] = [], notCovered: NotCovered = NotCovered(isGo: false, isJava: false),
        isKernelThread: Bool = false
    ) -> ObservedProcess {
        ObservedProcess(
            instance: ProcessInstance(
                pid: pid, startTime: 100 + UInt64(pid), executable: FileIdentity(device: 1, inode: 9)),
            name: name, threads: 2, isKernelThread: isKernelThread, objects: objects,
            patchability: Patchability(reasons: reasons), notCovered: notCovered, patches: patches)
    }

    static let denied = UnobservedProcess(pid: 99, error: InspectionError(.noPrivilege, "the kernel refuses"))
}
