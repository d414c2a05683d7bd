//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import ProcessControl
import ProcessInspection

extension Patcher {
    /// Checks everything that can be checked while the process runs, then maps and fills patch memory.
    func prepare(
        _ files: [PatchFile], process: inout ControlledProcess, survey: ProcessSurvey, objects: [LoadedObject],
        mapped: inout [AddressRange]
    ) throws(PatchingError) -> Preparation {
        let requests = try members(of: files, objects: objects, pid: process.process.instance.pid)
        try planning { () throws(Refusal) in try requests.check(applied: survey.appliedIdentifiers) }
        let transaction = MemberRequest.transaction(of: requests, sha256: sha256)
        let own = survey.transactions.first { $0.members.first?.transaction == transaction }
        let functions = try compare(requests, own: transaction, process: process.process, survey: survey)
        guard let functions else {
            // Applied in other transactions already, every one of them.
            return .already(survey.transactions.first { $0.members.contains { $0.patchDigest == files.first?.digest } })
        }
        if let own {
            if own.state == .applied { return .already(own) }
            _ = try planning { () throws(Refusal) in try SwitchPlan(own, direction: .apply) }
            if options.isDryRun { return .possible }
            return .ready(
                try prepared(
                    own.members, contents: own.members.map { survey.memories[$0.address]?.bytes ?? [] },
                    functions: functions, survey: survey))
        }
        try checkFixUps(of: requests, objects: objects, process: process.process, survey: survey)
        let contents = try place(requests, transaction: transaction, objects: objects, survey: survey)
        if options.isDryRun { return .possible }
        for content in contents { try put(content, process: &process, survey: survey, mapped: &mapped) }
        let mappings = try inspecting(process.process.instance.pid) { () throws(InspectionError) in
            try process.process.mappingsAsShown()
        }
        return .ready(
            try prepared(
                contents.map(\.memory), contents: contents.map(\.bytes), functions: functions,
                survey: ProcessSurvey(onlyMappings: mappings)))
    }

    /// One member per patch and object: a library that is loaded twice (`dlmopen`) is patched twice.
    private func members(
        of files: [PatchFile], objects: [LoadedObject], pid: Int32
    ) throws(PatchingError) -> [MemberRequest] {
        var requests: [MemberRequest] = []
        for file in files {
            let target = file.patch.target
            let fitting = objects.filter { $0.buildID == target.buildID }
            guard !fitting.isEmpty else {
                if let other = objects.first(where: { $0.isNamed(target.name) }) {
                    throw .refused(
                        Refusal(
                            .otherBuild,
                            "Process \(pid) runs another build of \(target.name) than \(file.patch.identifier) is for: "
                                + "\(hexadecimal(other.buildID ?? [])), not \(hexadecimal(target.buildID)).",
                            remedy: "Get the patch for the build that `moult targets` shows."))
                }
                throw .refused(
                    Refusal(
                        .targetNotMapped,
                        "Process \(pid) does not use \(target.name) (build-id \(hexadecimal(target.buildID))).",
                        remedy: "Nothing has to be patched there."))
            }
            for object in fitting {
                guard object.machine == target.machine else {
                    throw .refused(
                        Refusal(
                            .otherMachine, "\(file.patch.identifier) is for another machine.",
                            remedy: "Get the patch for this machine."))
                }
                requests.append(MemberRequest(patch: file.patch, digest: file.digest, loadBias: object.loadBias))
            }
        }
        return requests.inTransactionOrder
    }

    /// Compares every old function, whole, with what the patches were built against.
    ///
    /// - Returns: the functions' bytes in the members' order; nil if all members are applied already, in other
    ///   transactions than this.
    private func compare(
        _ requests: [MemberRequest], own: [UInt8], process: borrowing ProcessHandle, survey: ProcessSurvey
    ) throws(PatchingError) -> [[UInt8]]? {
        let entries = requests.flatMap { request in request.patch.entries.map { (request, $0) } }
        let functions = process.read(
            entries.map { request, entry in
                let start = entry.address &+ request.loadBias
                return start..<(start &+ UInt64(entry.expected.count))
            })
        var elsewhere = 0
        var here = 0
        var other: (entry: Entry, memory: PatchMemory)?
        for ((request, entry), bytes) in zip(entries, functions) {
            let fit = try planning { () throws(Refusal) in try request.fit(of: entry, bytes: bytes) }
            guard case .jump(let destination) = fit else {
                here += 1
                continue
            }
            guard let found = survey.transaction(containing: destination),
                let memory = found.members.first(where: { $0.range.contains(destination) })
            else {
                throw .refused(
                    Refusal(
                        .alteredByOthers, "\(entry.name) in \(request.patch.target.name) is patched by another tool.",
                        remedy: "Take the other tool's patch out, or restart the process."))
            }
            if memory.transaction == own {
                here += 1
            } else if memory.patchDigest == request.digest, found.state == .applied {
                elsewhere += 1
            } else {
                other = (entry, memory)
            }
        }
        if let other {
            throw .refused(
                Refusal(
                    .replacedByOtherPatch,
                    "\(other.entry.name) is replaced by \(other.memory.labels.identifier) already.",
                    remedy: "Undo \(other.memory.labels.identifier) first."))
        }
        if elsewhere > 0 {
            guard here == 0 else {
                throw .refused(
                    Refusal(
                        .replacedByOtherPatch, "Some of these patches are applied already, others are not.",
                        remedy: "Name only those that are not applied yet."))
            }
            return nil
        }
        return functions
    }

    /// Chooses addresses and makes the contents of all patch memories.
    private func place(
        _ requests: [MemberRequest], transaction: [UInt8], objects: [LoadedObject], survey: ProcessSurvey
    ) throws(PatchingError) -> [PatchMemoryContent] {
        // Where the main thread's stack may still grow (as in `FreeRoom`) nothing of ours may lie.
        let occupied = survey.mappings.map { mapping in
            let lower = mapping.range.lowerBound
            let growth: UInt64 = mapping.name.elementsEqual("[stack]".utf8) ? 64 << 20 : 0
            return AddressRange(lower: lower - min(lower, growth), upper: mapping.range.upperBound)
        }
        var taken: [AddressRange] = []
        for request in requests {
            let size = try planning { () throws(Refusal) in
                try PatchMemory.size(of: request, memberCount: requests.count)
            }
            let rounded = UInt64((size + 4095) / 4096 * 4096)
            guard
                let object = objects.first(where: {
                    $0.loadBias == request.loadBias && $0.buildID == request.patch.target.buildID
                })
            else { continue }
            let placement = Placement(
                object: AddressRange(lower: object.range.lowerBound, upper: object.range.upperBound),
                mappings: occupied)
            let address = placement.address(
                size: rounded, seed: UInt64(request.digest.first ?? 0), taken: taken
            ) { candidate in
                guard !taken.contains(where: { $0.lower == candidate }), let mapping = survey.mapping(at: candidate),
                    mapping.range.lowerBound == candidate, mapping.range.upperBound - candidate == rounded
                else { return false }
                // Never filled, or filled for this transaction whose other members are missing.
                return survey.unfinished[candidate] != nil
                    || survey.memories[candidate]?.memory.transaction == transaction
            }
            guard let address else {
                throw .refused(
                    Refusal(
                        .noRoomWithinReach, "There is no free room within 2 GiB of \(request.patch.target.name).",
                        remedy: "Restart the process with the fixed package."))
            }
            taken.append(AddressRange(lower: address, upper: address &+ rounded))
        }
        let addresses = taken.map(\.lower)
        let verdict = requests.verdict
        var contents: [PatchMemoryContent] = []
        for (request, address) in zip(requests, addresses) {
            contents.append(
                try planning { () throws(Refusal) in
                    try PatchMemory.content(
                        of: request, at: address, members: addresses, verdict: verdict, transaction: transaction,
                        sha256: sha256)
                })
        }
        return contents
    }

    /// Maps a patch memory, unless an earlier run did, and fills it: the magic last.
    private func put(
        _ content: PatchMemoryContent, process: inout ControlledProcess, survey: ProcessSurvey,
        mapped: inout [AddressRange]
    ) throws(PatchingError) {
        let address = content.memory.address
        let pid = process.process.instance.pid
        if survey.mapping(at: address) == nil {
            let size = UInt64((content.bytes.count + 4095) / 4096 * 4096)
            // mmap(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)
            let result: Int64
            do throws(ControlError) {
                result = try process.performSystemCall(9, [address, size, 5, 0x10_0022, .max, 0])
            } catch {
                throw PatchingError(error, pid: pid)
            }
            guard UInt64(bitPattern: result) == address else {
                if result == -17 {
                    throw .later(
                        Refusal(
                            .noRoomWithinReach, "The room for the patch memory was taken meanwhile.",
                            remedy: "Try again."))
                }
                throw .refused(
                    Refusal(
                        .noRoomWithinReach, "Process \(pid) could not map the patch memory (error \(-result)).",
                        remedy: "Raise the process's limits of memory and mappings, or restart it."))
            }
            mapped.append(AddressRange(lower: address, upper: address &+ size))
        }
        var bytes = content.bytes
        let magic = Array(bytes[..<8])
        for (index, byte) in "MOULTfil".utf8.enumerated() { bytes[index] = byte }
        try controlling(pid) { () throws(ControlError) in try process.write(bytes, at: address) }
        try controlling(pid) { () throws(ControlError) in try process.write(magic, at: address) }
    }

    /// Notes what must still be so in the stop.
    func prepared(
        _ members: [PatchMemory], contents: [[UInt8]], functions: [[UInt8]], survey: ProcessSurvey
    ) throws(PatchingError) -> PreparedTransaction {
        var places: [PreparedTransaction.Place] = []
        for member in members {
            for address in [member.address, member.stateAddress] + member.entries.map(\.address) {
                guard let mapping = survey.mapping(at: address), mapping.isExecutable else {
                    throw .later(
                        Refusal(
                            .alteredByOthers, "A mapping vanished while the process was being looked at.",
                            remedy: "Try again."))
                }
                places.append(PreparedTransaction.Place(address: address, mapping: mapping))
            }
            for fixUp in member.fixUps {
                guard let mapping = survey.mapping(at: fixUp.address), mapping.mayHoldData else {
                    throw .refused(fixUp.mismatch([]))
                }
                places.append(PreparedTransaction.Place(address: fixUp.address, mapping: mapping, isDatum: true))
            }
        }
        return PreparedTransaction(members: members, contents: contents, functions: functions, places: places)
    }
}

extension LoadedObject {
    /// Whether the object's file has this name (a version behind it is ignored).
    fileprivate func isNamed(_ name: String) -> Bool {
        guard let last = displayName.split(separator: "/").last else { return false }
        return last == name || last.hasPrefix(name + ".")
    }
}

/// Bytes as hexadecimal digits.
func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}
