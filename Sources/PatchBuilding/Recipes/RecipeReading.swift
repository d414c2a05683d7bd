//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Yams

extension Recipe {
    /// Reads the recipe at `…/<suite>/<source>/<id>.yaml`, which names one target.
    ///
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package init(path: String) throws(PreparationError) {
        self = try Recipe.only(try Recipe.all(path: path), file: path)
    }

    /// Reads a recipe with one target from text.
    ///
    /// - Parameters:
    ///   - text: the YAML document.
    ///   - location: where it stands.
    ///   - file: its name in complaints.
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package init(text: String, location: Location, file: String) throws(PreparationError) {
        self = try Recipe.only(try Recipe.all(text: text, location: location, file: file), file: file)
    }

    /// Reads the file at `…/<suite>/<source>/<id>.yaml`: one recipe for each target that it names, in their order.
    ///
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package static func all(path: String) throws(PreparationError) -> [Recipe] {
        let location = try Location(path: path)
        return try all(text: try Recipe.text(path), location: location, file: path)
    }

    /// Reads the recipes of a file from text: one for each target that it names, in their order.
    ///
    /// - Parameters:
    ///   - text: the YAML document.
    ///   - location: where it stands.
    ///   - file: its name in complaints.
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package static func all(
        text: String, location: Location, file: String
    ) throws(PreparationError) -> [Recipe] {
        let keys: Set<String> = [
            "cves", "package", "vulnerable", "rebuild-without", "fixed", "fix", "waive", "fixups", "part-of", "probe",
        ]
        let root = try StrictYAML(text: text, file: file, keys: keys).root
        let targets = try targets(root)
        var recipes: [Recipe] = []
        for target in targets {
            var place = location
            if targets.count > 1 { place.identifier += "-" + target.stem }
            recipes.append(try Recipe(root, location: place, target: target))
        }
        return recipes
    }

    private static func only(_ recipes: [Recipe], file: String) throws(PreparationError) -> Recipe {
        guard recipes.count == 1 else {
            throw PreparationError(.malformedRecipe, "\(file): one target is expected here, not \(recipes.count)")
        }
        return recipes[0]
    }

    private init(
        _ root: StrictYAML.Fields, location: Location, target: ShippedObject
    ) throws(PreparationError) {
        cves = try root.strings(try root.required("cves"), is: NameRule.cve, called: "a CVE identifier")
        self.target = target
        let versions = try root.required("vulnerable")
        vulnerable = try root.strings(versions, is: NameRule.version, called: "a version")
        guard !vulnerable.isEmpty else { throw root.complaint(versions, "at least one version is needed") }
        rebuildWithout = try Recipe.patches(root.optional("rebuild-without"), root)
        fixed = try Recipe.fixedSources(root)
        fix = try Recipe.fix(root)
        adaptation = try Recipe.adaptation(root)
        waivers = try Recipe.waivers(root)
        fixUps = try Recipe.fixUps(root)
        partOf = try root.optional("part-of").map { node throws(PreparationError) in try root.string(node) } ?? ""
        probe = try root.optional("probe").map { node throws(PreparationError) in try root.string(node) } ?? ""
        self.location = location
        if case .patches = fix, fixed.contains(where: { if case .tarball = $0 { true } else { false } }) {
            throw root.complaint(root.line, "patches are found in source packages, not in an upstream tarball")
        }
    }

    /// The targets under `package`: one, or a list.
    private static func targets(_ root: StrictYAML.Fields) throws(PreparationError) -> [ShippedObject] {
        let node = try root.required("package")
        let nodes: [Node]
        if case .sequence(let sequence) = node { nodes = Array(sequence) } else { nodes = [node] }
        var targets: [ShippedObject] = []
        for node in nodes {
            let fields = try root.fields(node, keys: ["name", "object", "linked"])
            let name = try fields.required("name")
            let object = try fields.required("object")
            let target = ShippedObject(
                package: try fields.string(name, is: NameRule.package, called: "a package name"),
                object: try fields.string(object, is: NameRule.path, called: "a path in a package"),
                linked: try fields.optional("linked").map { node throws(PreparationError) in
                    try fields.string(node, is: NameRule.path, called: "a path in the source")
                } ?? "")
            guard NameRule.file(target.stem) else {
                throw fields.complaint(object, "'\(target.stem)' cannot be part of a name")
            }
            guard !targets.contains(where: { $0.stem == target.stem }) else {
                throw fields.complaint(
                    object, "'\(target.stem)' is the name of two targets: each needs a file of its own")
            }
            targets.append(target)
        }
        guard !targets.isEmpty else { throw root.complaint(node, "at least one target is needed") }
        return targets
    }

    private static func fixedSources(_ root: StrictYAML.Fields) throws(PreparationError) -> [FixedSource] {
        let node = try root.required("fixed")
        let nodes: [Node]
        if case .sequence(let sequence) = node { nodes = Array(sequence) } else { nodes = [node] }
        var sources: [FixedSource] = []
        for node in nodes {
            let fields = try root.fields(node, keys: ["tarball", "source"])
            switch (fields.optional("tarball"), fields.optional("source")) {
            case (let version?, nil):
                sources.append(.tarball(try fields.string(version, is: NameRule.version, called: "a version")))
            case (nil, let version?):
                sources.append(.source(try fields.string(version, is: NameRule.version, called: "a version")))
            default:
                throw fields.complaint(node, "either 'tarball' or 'source' is needed here")
            }
        }
        guard !sources.isEmpty else { throw root.complaint(node, "at least one source of the fix is needed") }
        return sources
    }

    private static func fix(_ root: StrictYAML.Fields) throws(PreparationError) -> Fix {
        let node = try root.required("fix")
        let fields = try root.fields(node, keys: ["files", "patches", "reformatted", "adapted", "because"])
        let isReformatted = try fields.optional("reformatted").map { node throws(PreparationError) in
            try fields.flag(node)
        }
        if isReformatted == true, let node = fields.optional("adapted") {
            throw fields.complaint(node, "an adapted source has one format: 'reformatted' cannot be with it")
        }
        switch (fields.optional("files"), fields.optional("patches")) {
        case (let list?, nil):
            var files: [File] = []
            for node in try fields.list(list) {
                let file = try file(node, fields)
                guard !files.contains(where: { $0.path == file.path }) else {
                    throw fields.complaint(node, "'\(file.path)' is named twice")
                }
                files.append(file)
            }
            guard !files.isEmpty else { throw fields.complaint(list, "at least one file is needed") }
            return isReformatted == true ? .reformatted(files) : .files(files)
        case (nil, let list?):
            guard isReformatted == nil else {
                throw fields.complaint(node, "only files can be reformatted, a patch says what it changes")
            }
            return .patches(try patches(list, fields))
        default:
            throw fields.complaint(node, "either 'files' or 'patches' is needed here")
        }
    }

    private static func file(_ node: Node, _ fields: StrictYAML.Fields) throws(PreparationError) -> File {
        if case .scalar = node {
            return File(path: try fields.string(node, is: NameRule.path, called: "a path in the source"))
        }
        let entry = try fields.fields(node, keys: ["path", "hunks", "functions"])
        let path = try entry.string(try entry.required("path"), is: NameRule.path, called: "a path in the source")
        switch (entry.optional("hunks"), entry.optional("functions")) {
        case (nil, nil):
            return File(path: path)
        case (let list?, nil):
            var hunks: [Int] = []
            for element in try entry.list(list) {
                let number = try entry.number(element)
                guard number > hunks.last ?? 0 else { throw entry.complaint(element, "hunks are named in order") }
                hunks.append(number)
            }
            guard !hunks.isEmpty else { throw entry.complaint(list, "at least one hunk is needed") }
            return File(path: path, choice: .hunks(hunks))
        case (nil, let list?):
            let functions = try entry.strings(list, is: NameRule.variable, called: "the name of a function")
            guard !functions.isEmpty else { throw entry.complaint(list, "at least one function is needed") }
            return File(path: path, choice: .functions(functions))
        case (_?, _?):
            throw entry.complaint(node, "either 'hunks' or 'functions' can be named, not both")
        }
    }

    /// Names of patches; none if the key is not there.
    private static func patches(_ node: Node?, _ fields: StrictYAML.Fields) throws(PreparationError) -> [String] {
        guard let node else { return [] }
        let names = try fields.strings(node, is: NameRule.path, called: "the name of a patch")
        guard !names.isEmpty else { throw fields.complaint(node, "at least one patch is needed") }
        return names
    }

    /// The contents of a recipe file.
    package static func text(_ path: String) throws(PreparationError) -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw PreparationError(.malformedRecipe, "\(path): the file cannot be read")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw PreparationError(.malformedRecipe, "\(path): the file is not UTF-8")
        }
        return text
    }
}

extension Recipe.Location {
    /// The location that a path `…/<suite>/<source>/<id>.yaml` names.
    ///
    /// - Throws: `PreparationError` with `malformedRecipe`.
    package init(path: String) throws(PreparationError) {
        var full = path
        if !path.hasPrefix("/") { full = FileManager.default.currentDirectoryPath + "/" + path }
        let parts = full.split(separator: "/").map(String.init).filter { $0 != "." }
        guard parts.count >= 3, let file = parts.last, file.hasSuffix(".yaml") else {
            throw PreparationError(.malformedRecipe, "\(path): a recipe stands at <suite>/<source>/<id>.yaml")
        }
        self.init(
            suite: parts[parts.count - 3], source: parts[parts.count - 2], identifier: String(file.dropLast(5)))
        guard NameRule.file(suite), NameRule.package(source), NameRule.file(identifier) else {
            throw PreparationError(.malformedRecipe, "\(path): suite, source and id are not names")
        }
    }
}

extension BuildRecipe {
    /// Reads the `build.yaml` that stands beside a recipe.
    ///
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package init(besideRecipe path: String) throws(PreparationError) {
        let file = BuildRecipe.path(besideRecipe: path)
        let location = try Recipe.Location(path: file)
        try self.init(
            text: try Recipe.text(file), suite: location.suite, source: location.source, file: file)
    }

    /// The path of the `build.yaml` that stands beside a recipe.
    package static func path(besideRecipe path: String) -> String {
        let directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return directory.isEmpty ? "build.yaml" : directory + "/build.yaml"
    }

    /// Reads a build recipe from text.
    ///
    /// - Parameters:
    ///   - text: the YAML document.
    ///   - suite: the suite it is for.
    ///   - source: the source package it is for.
    ///   - file: its name in complaints.
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    package init(text: String, suite: String, source: String, file: String) throws(PreparationError) {
        let keys: Set<String> = [
            "compiler", "build-path", "build-dependencies", "environment", "copies", "prepare", "compile",
        ]
        let root = try StrictYAML(text: text, file: file, keys: keys).root
        let any: (String) -> Bool = { _ in true }

        var environment: [String: String] = [:]
        if let node = root.optional("environment") {
            let fields = try StrictYAML.Fields(file: file, node: node, keys: nil)
            for (name, value) in fields.nodes {
                guard NameRule.variable(name) else { throw fields.complaint(value, "'\(name)' is not a variable") }
                environment[name] = try fields.string(value)
            }
        }
        let compile = try root.required("compile")
        self.init(
            suite: suite, source: source,
            compiler: try root.optional("compiler").map { node throws(PreparationError) in try root.string(node) }
                ?? "",
            buildPath: try root.optional("build-path").map { node throws(PreparationError) in
                try root.string(node, is: NameRule.absolutePath, called: "an absolute path")
            } ?? "",
            dependencies: try root.optional("build-dependencies").map { node throws(PreparationError) in
                try root.strings(node, is: NameRule.package, called: "a package name")
            } ?? [],
            environment: environment, copies: try BuildRecipe.copies(root),
            prepare: try root.optional("prepare").map { node throws(PreparationError) in
                try root.strings(node, is: any, called: "a command")
            } ?? [],
            compile: try root.strings(compile, is: any, called: "a command"))
        guard !self.compile.isEmpty else { throw root.complaint(compile, "at least one command is needed") }
    }

    /// The mapping `copies`: a directory, and what it is a copy of (`.` for the whole tree).
    private static func copies(_ root: StrictYAML.Fields) throws(PreparationError) -> [Copy] {
        guard let node = root.optional("copies") else { return [] }
        let fields = try StrictYAML.Fields(file: root.file, node: node, keys: nil)
        var copies: [Copy] = []
        for (directory, value) in fields.nodes.sorted(by: { $0.key < $1.key }) {
            guard NameRule.path(directory) else {
                throw fields.complaint(value, "'\(directory)' is not a path in the source")
            }
            let original = try fields.string(value)
            guard original == "." || NameRule.path(original) else {
                throw fields.complaint(value, "'\(original)' is neither a path in the source nor '.'")
            }
            copies.append(Copy(directory: directory, original: original == "." ? "" : original))
        }
        return copies
    }
}
