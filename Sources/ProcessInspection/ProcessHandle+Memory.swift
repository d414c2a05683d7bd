//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

// Memory and mappings.
extension ProcessHandle {
    /// All mappings, sorted by address.
    package func mappings() throws(InspectionError) -> [Mapping] {
        let prefix = memoryPrefix
        var mappings = try MapsParser.mappings(contents(prefix + "maps"))
        let files = try mapFilesDirectory(prefix)
        for index in mappings.indices where mappings[index].identity != nil {
            // stat(2) through map_files sees the file itself, whatever its names and mounts are.
            let range = mappings[index].range
            let name = [range.lowerBound, range.upperBound].map { String($0, radix: 16) }.joined(separator: "-")
            var file = clinux_file()
            guard unsafe clinux_stat(files.number, name, 1, &file) == 0 else { continue }
            mappings[index].identity = FileIdentity(device: file.device, inode: file.inode)
            if file.links == 0 { mappings[index].isDeleted = true }
        }
        return mappings
    }

    /// All mappings, `identity` as the line shows it: one file is read instead of one stat(2) per mapping, for
    /// looks that only compare with an earlier one.
    package func mappingsAsShown() throws(InspectionError) -> [Mapping] {
        try MapsParser.mappings(contents(memoryPrefix + "maps"))
    }

    /// `map_files`: there is none below `task`, but each thread also has a directory of its own below `/proc`.
    private func mapFilesDirectory(_ prefix: String) throws(InspectionError) -> Descriptor {
        let flags = OpenFlags.readOnly | OpenFlags.directory
        let opened: Int
        if prefix.isEmpty {
            opened = Descriptor.open("map_files", in: directory, flags: flags)
        } else {
            let tid = prefix.dropFirst("task/".count).dropLast()
            opened = Descriptor.open("/proc/\(tid)/map_files", in: OpenFlags.currentDirectory, flags: flags)
        }
        // Without privilege it cannot be opened: then what the lines show must do.
        let files = Descriptor(Int32(truncatingIfNeeded: max(opened, -1)))
        // The thread is still one of ours, so the directory was not another's.
        if !prefix.isEmpty { _ = try contents(prefix + "stat") }
        return files
    }

    /// Reads `count` bytes, all or nothing.
    ///
    /// - Throws: `unreadable` if any of it cannot be read, `exited`.
    package func read(_ address: UInt64, count: Int) throws(InspectionError) -> [UInt8] {
        let bytes = readAvailable(address, count: count)
        guard bytes.count == count else {
            guard clinux_pidfd_send_signal(processDescriptor, 0) != -Int(ErrorNumber.noProcess) else {
                throw InspectionError(.exited, "process \(instance.pid) has ended", errno: ErrorNumber.noProcess)
            }
            let place = String(address, radix: 16)
            throw InspectionError(.unreadable, "\(count) bytes at 0x\(place) of process \(instance.pid) cannot be read")
        }
        return bytes
    }

    /// Reads as many of `count` bytes as there are from `address` on (none is no error).
    package func readAvailable(_ address: UInt64, count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            guard let base = buffer.baseAddress else { return }
            initialized = unsafe fill(base, count: count, from: address)
        }
    }

    /// `/proc/PID/mem` is this process's memory for good; process_vm_readv(2) goes by the pid, which may pass to another
    /// process when ours ends, and is asked only if the first could not be opened.
    private func fill(_ base: UnsafeMutablePointer<UInt8>, count: Int, from address: UInt64) -> Int {
        var done = 0
        while done < count {
            let (place, overflow) = address.addingReportingOverflow(UInt64(done))
            if overflow { break }
            let result: Int
            if memory >= 0 {
                result = unsafe clinux_pread(memory, base + done, count - done, place)
            } else {
                var range = clinux_range(address: place, length: UInt64(count - done))
                result = unsafe clinux_process_vm_readv(instance.pid, base + done, count - done, &range, 1)
            }
            if result <= 0 { break }
            done += result
        }
        return done
    }

    /// Reads several ranges with as few system calls as possible, for stacks of many threads under a stop (which keeps
    /// the pid from being used again). A range that cannot be read whole gives what could be read of it.
    package func read(_ ranges: [Range<UInt64>]) -> [[UInt8]] {
        var results: [[UInt8]] = []
        results.reserveCapacity(ranges.count)
        while results.count < ranges.count {
            let batch = Array(ranges[results.count...].prefix(64))
            let wanted = batch.map { clinux_range(address: $0.lowerBound, length: $0.upperBound - $0.lowerBound) }
            let total = wanted.reduce(0) { $0 + Int(clamping: $1.length) }
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
                count = max(
                    0, unsafe clinux_process_vm_readv(instance.pid, buffer.baseAddress, total, wanted, wanted.count))
            }
            var start = 0
            for range in batch {
                let length = Int(clamping: range.upperBound - range.lowerBound)
                guard start + length <= bytes.count else {
                    // The call ends at the first range that cannot be read: that one is read by itself, then go on.
                    results.append(readAvailable(range.lowerBound, count: length))
                    break
                }
                results.append(Array(bytes[start..<(start + length)]))
                start += length
            }
        }
        return results
    }
}
