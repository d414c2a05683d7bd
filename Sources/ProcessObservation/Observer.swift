//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import Commands
package import PatchPlan
package import ProcessInspection

/// Looks at processes and changes nothing.
package struct Observer: Sendable {
    private let limits: KernelLimits
    private let finder: PatchMemoryFinder

    /// Makes an observer.
    /// - Parameters:
    ///   - limits: What the kernel allows anyone.
    ///   - sha256: The digest that headers of patch memory are checked with.
    package init(limits: KernelLimits, sha256: Digester) {
        self.limits = limits
        finder = PatchMemoryFinder(sha256: sha256)
    }

    /// Looks at the processes of a selection.
    ///
    /// Of all processes, those that end meanwhile are left out: they are not running. A process that was
    /// named and is not there is reported.
    /// - Throws: `InspectionError` if the processes cannot be listed.
    package func observe(_ selection: ProcessSelection) throws(InspectionError) -> Observation {
        var observation = Observation(processes: [], unobserved: [])
        switch selection {
        case .processes(let names):
            for name in names.sorted(by: { $0.pid < $1.pid }) {
                do throws(InspectionError) {
                    observation.processes.append(try observe(name))
                } catch {
                    observation.unobserved.append(UnobservedProcess(pid: name.pid, error: error))
                }
            }
        case .all:
            for pid in try ProcessList.pids() {
                do throws(InspectionError) {
                    observation.processes.append(try observe(pid))
                } catch {
                    if error.code == .exited || error.code == .reused { continue }
                    observation.unobserved.append(UnobservedProcess(pid: pid, error: error))
                }
            }
        }
        return observation
    }

    private func observe(_ name: ProcessName) throws(InspectionError) -> ObservedProcess {
        let process = try observe(name.pid)
        guard name.instance == nil || name.instance == process.instance.identifier else {
            throw InspectionError(.reused, "pid \(name.pid) is another process now")
        }
        return process
    }

    /// Looks at one process.
    /// - Throws: `InspectionError`.
    package func observe(_ pid: Int32) throws(InspectionError) -> ObservedProcess {
        let process = try ProcessHandle(pid: pid)
        let status = try process.status()
        let mappings = status.isKernelThread ? [] : try process.mappings()
        let objects = process.loadedObjects(in: mappings)
        let observed = ObservedProcess(
            instance: process.instance, name: PrintableBytes.text(of: status.name), threads: status.threads,
            isKernelThread: status.isKernelThread, objects: objects,
            patchability: process.patchability(under: limits), notCovered: process.notCovered(objects: objects),
            patches: finder.patches(in: process, mappings: mappings))
        // What was read belongs to one process only if it is still the same one.
        try process.check()
        return observed
    }
}
