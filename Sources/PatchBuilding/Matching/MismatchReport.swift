//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// How far an object is from what was shipped: what a person wants to know whose build is not the
/// distribution's.
struct MismatchReport {
    private let shipped: ShippedBinary

    init(_ shipped: ShippedBinary) { self.shipped = shipped }

    /// The sections of code that are not placed, one sentence each.
    ///
    /// - Parameters:
    ///   - object: the plain object.
    ///   - placement: what became of it.
    /// - Throws: `PatchBuildingError` where the object is broken.
    func sentences(_ object: ObjectFile, _ placement: Placement.Object) throws(PatchBuildingError) -> [String] {
        var result: [String] = []
        // Read when it is needed: most objects are found.
        var functions: [[FunctionRange]] = []
        for code in placement.code {
            let what = "\(object.name): \(code.name) (\(code.size) bytes)"
            switch code.status {
            case .placed: continue
            case .ambiguous(let places):
                result.append(
                    places == 1
                        ? "\(what) fits at one place, but too little speaks for it"
                        : "\(what) fits at \(places) places, and nothing tells which it is")
            case .contradictory(let why):
                result.append("\(what) has the bytes of the shipped binary, but \(why)")
            case .absent:
                if functions.isEmpty { functions = try object.functionRanges() }
                result.append(
                    "\(what) is not in the shipped binary" + extent(code.section, object, functions[code.section]))
            }
        }
        return result
    }

    /// How many functions of a section the shipped binary has, and the first that it has not.
    private func extent(_ section: Int, _ object: ObjectFile, _ functions: [FunctionRange]) -> String {
        let named = functions.filter { $0.size > 0 }
        guard !named.isEmpty else { return "" }
        var missing: [(function: FunctionRange, agreeing: Int)] = []
        for function in named {
            let agreeing = agreement(function, section, object)
            if agreeing < function.size { missing.append((function, agreeing)) }
        }
        guard let first = missing.first else {
            return ": all \(named.count) functions are, but not in this order and distance"
        }
        let name = name(of: first.function, section, object)
        return ": \(named.count - missing.count) of \(named.count) functions are; the first that is not is \(name) "
            + (first.agreeing > 0
                ? "(\(first.function.size) bytes), which differs from byte \(first.agreeing) on"
                : "(\(first.function.size) bytes)")
    }

    private func name(of function: FunctionRange, _ section: Int, _ object: ObjectFile) -> String {
        let symbol = object.symbols.first {
            $0.section == section && $0.value == function.start && $0.type != .section && !$0.name.isEmpty
        }
        return symbol?.name ?? "the one at \(object.sections[section].name)+0x" + String(function.start, radix: 16)
    }

    /// How many bytes of a function, from its start, some function of the shipped binary has too. Fields that the
    /// linker writes are left out.
    private func agreement(_ function: FunctionRange, _ section: Int, _ object: ObjectFile) -> Int {
        let contents = object.contents(section)
        let end = function.start + function.size
        let runs = CodePattern(object.sections[section]).runs.compactMap { run -> Range<Int>? in
            let part = max(run.lowerBound, function.start)..<max(function.start, min(run.upperBound, end))
            return part.isEmpty ? nil : part
        }
        let code = contents[(contents.startIndex + function.start)..<(contents.startIndex + end)]
        var best = 0
        for other in shipped.functions {
            let size = min(other.size, function.size)
            guard let offset = shipped.fileOffset(other.start, count: size) else { continue }
            var agreeing = other.size == function.size ? function.size : size
            search: for run in runs {
                for position in run where position - function.start < size {
                    let distance = position - function.start
                    if code[code.startIndex + distance] != shipped.bytes[offset + distance] {
                        agreeing = distance
                        break search
                    }
                }
            }
            // One that is longer is another function, however far it agrees.
            if agreeing == function.size, other.size != function.size { agreeing = max(0, size - 1) }
            best = max(best, agreeing)
            if best == function.size { return best }
        }
        return best
    }
}
