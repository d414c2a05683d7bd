//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import PatchPlan
package import ProcessInspection

/// One process as it was when it was looked at.
package struct ObservedProcess: Sendable, Equatable {
    /// Which process, never a pid alone.
    package var instance: ProcessInstance
    /// The process's name as it calls itself; hostile.
    package var name: String
    /// Number of threads.
    package var threads: Int
    /// Whether it is a thread of the kernel: it maps nothing.
    package var isKernelThread: Bool
    /// The ELF objects that it maps, sorted by address.
    package var objects: [LoadedObject]
    /// What is in the way of patching it.
    package var patchability: Patchability
    /// What in it live patches cannot reach.
    package var notCovered: NotCovered
    /// The live patches found in it, by target and identifier.
    package var patches: [ObservedPatch]

    /// Makes an observation of its parts.
    package init(
        instance: ProcessInstance, name: String, threads: Int, isKernelThread: Bool, objects: [LoadedObject],
        patchability: Patchability, notCovered: NotCovered, patches: [ObservedPatch]
    ) {
        self.instance = instance
        self.name = name
        self.threads = threads
        self.isKernelThread = isKernelThread
        self.objects = objects
        self.patchability = patchability
        self.notCovered = notCovered
        self.patches = patches
    }

    /// The objects with this build-id. More than one where a library is loaded into several namespaces.
    package func objects(buildID: [UInt8]) -> [LoadedObject] {
        objects.filter { $0.buildID == buildID }
    }
}

/// A live patch as it is found in a process.
package struct ObservedPatch: Sendable, Equatable {
    /// The header of its patch memory.
    package var memory: PatchMemory
    /// How far the transaction is that it belongs to.
    package var state: TransactionState

    /// Makes an observation of its parts.
    package init(memory: PatchMemory, state: TransactionState) {
        self.memory = memory
        self.state = state
    }

    /// Whether it is in the process, or was left there: everything but what was undone or never begun.
    package var isPresent: Bool {
        switch state {
        case .absent, .prepared, .undone: false
        case .halfGated, .committed, .halfDirect, .applied, .mixed, .altered: true
        }
    }
}

/// A process that could not be looked at.
package struct UnobservedProcess: Sendable, Equatable {
    /// The process id that was asked for.
    package var pid: Int32
    /// Why not.
    package var error: InspectionError

    /// Makes a report of its parts.
    package init(pid: Int32, error: InspectionError) {
        self.pid = pid
        self.error = error
    }
}

/// What was seen of all processes that were asked for.
package struct Observation: Sendable, Equatable {
    /// Those that could be looked at, by pid.
    package var processes: [ObservedProcess]
    /// Those that could not.
    package var unobserved: [UnobservedProcess]

    /// Makes an observation of its parts.
    package init(processes: [ObservedProcess], unobserved: [UnobservedProcess]) {
        self.processes = processes
        self.unobserved = unobserved
    }
}
