//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import Yams

// What a machine cannot know and the author of a recipe says.
extension Recipe {
    /// The source patch beside the recipe that `fix` names, with the sentence that belongs to it.
    static func adaptation(_ root: StrictYAML.Fields) throws(PreparationError) -> Adaptation? {
        let fields = try StrictYAML.Fields(file: root.file, node: try root.required("fix"), keys: nil)
        guard let node = fields.optional("adapted") else {
            guard let because = fields.optional("because") else { return nil }
            throw fields.complaint(because, "'because' says why a fix is 'adapted', and this one is not")
        }
        let name = try fields.string(
            node, is: { NameRule.file($0) && $0.hasSuffix(".patch") }, called: "the name of a file that ends in .patch")
        let directory = root.file.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/")
        return Adaptation(
            name: name, path: root.file.contains("/") ? "\(directory)/\(name)" : name,
            because: try fields.sentence(try fields.required("because")))
    }

    /// The reasons that are waived.
    static func waivers(_ root: StrictYAML.Fields) throws(PreparationError) -> [Waiver] {
        guard let list = root.optional("waive") else { return [] }
        var waivers: [Waiver] = []
        for node in try root.list(list) {
            let fields = try root.fields(node, keys: ["reason", "subject", "object", "use", "because"])
            let reason = try fields.required("reason")
            let word = try fields.string(reason)
            guard let code = Reason.Code(rawValue: word) else {
                throw fields.complaint(reason, "there is no reason '\(word)'")
            }
            guard code.isWaivable else { throw fields.complaint(reason, "the reason '\(word)' cannot be waived") }
            var waiver = Waiver(
                code, subject: try fields.sentence(try fields.required("subject")),
                because: try fields.sentence(try fields.required("because")), place: fields.place)
            if let object = fields.optional("object") { waiver.object = try fields.sentence(object) }
            if let use = fields.optional("use") {
                guard code == .changedData else {
                    throw fields.complaint(use, "only of 'changed-data' there are old and new contents to use")
                }
                waiver.use = Provenance.DataUse(rawValue: try fields.string(use))
                guard waiver.use != nil else { throw fields.complaint(use, "'old' or 'new' is expected here") }
            }
            let isTwice = waivers.contains {
                $0.code == waiver.code && $0.subject == waiver.subject && $0.object == waiver.object
            }
            guard !isTwice else { throw fields.complaint(node, "'\(waiver.subject)' is waived twice") }
            waivers.append(waiver)
        }
        guard !waivers.isEmpty else { throw root.complaint(list, "at least one waiver is needed") }
        guard waivers.count <= PatchFormat.maximumWaivers else {
            throw root.complaint(list, "a patch has at most \(PatchFormat.maximumWaivers) waivers")
        }
        return waivers
    }
}

extension StrictYAML.Fields {
    /// Where the mapping stands, as complaints name it.
    var place: String { "\(file):\(line)" }

    /// A text that goes into the patch: one line, without control characters.
    func sentence(_ node: Node) throws(PreparationError) -> String {
        let text = try string(node)
        let isPlain = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }
        guard isPlain, text.contains(where: { $0 != " " }) else {
            throw complaint(node, "a text of one line is expected here")
        }
        return text
    }
}
