//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

// Memory and mappings.
extension ProcessHandle {
    /// All mappings, sorted by address.
    package func mappings() throws(InspectionError) -> [Mapping] {
        var mappings = try mappingsAsShown()
        for index in mappings.indices where mappings[index].identity != nil {
            // stat(2) through map_files sees the file itself, whatever its names and mounts are.
            let range = mappings[index].range
            let name =
                "map_files/"
                + [range.lowerBound, range.upperBound].map { String($0, radix: 16) }.joined(separator: "-")
            var file = clinux_file()
            guard unsafe clinux_stat(directory, name, 1, &file) == 0 else { continue }
            mappings[index].identity = FileIdentity(device: file.device, inode: file.inode)
            if file.links == 0 { mappings[index].isDeleted = true }
        }
        return mappings
    }

    /// All mappings, `identity` as the line shows it: one file is read instead of one stat(2) per mapping, for
    /// looks that only compare with an earlier one.
    package func mappingsAsShown() throws(InspectionError) -> [Mapping] {
        try MapsParser.mappings(contents("maps"))
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

    /// process_vm_readv(2) honours page protection; `/proc/PID/mem` reads what the process itself could not, so it is
    /// asked for what the first leaves.
    private func fill(_ base: UnsafeMutablePointer<UInt8>, count: Int, from address: UInt64) -> Int {
        var done = 0
        while done < count {
            let (place, overflow) = address.addingReportingOverflow(UInt64(done))
            if overflow { break }
            var range = clinux_range(address: place, length: UInt64(count - done))
            var result = unsafe clinux_process_vm_readv(instance.pid, base + done, count - done, &range, 1)
            if result <= 0, memory >= 0 {
                result = unsafe clinux_pread(memory, base + done, count - done, place)
            }
            if result <= 0 { break }
            done += result
        }
        return done
    }

    /// Reads several ranges with as few system calls as possible, for stacks of many threads under a stop. A range
    /// that cannot be read whole gives what could be read of it.
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
