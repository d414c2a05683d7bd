//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Writes HTML: text is escaped, names of elements and classes are ours.
struct HTML {
    private(set) var text = ""

    /// Writes markup as it is.
    mutating func raw(_ markup: String) { text += markup }

    /// Begins an element.
    mutating func open(_ name: String, class style: String = "") {
        text += style.isEmpty ? "<\(name)>" : "<\(name) class=\"\(style)\">"
    }

    /// Ends an element.
    mutating func close(_ name: String) { text += "</\(name)>\n" }

    /// A whole element with a text.
    mutating func element(_ name: String, class style: String = "", text content: String) {
        open(name, class: style)
        text += HTML.escaped(content)
        close(name)
    }

    /// A row of a table.
    mutating func row(_ cells: [String]) {
        open("tr")
        for cell in cells { element("td", text: cell) }
        close("tr")
    }

    /// The first row of a table.
    mutating func row(header cells: [String]) {
        open("tr")
        for cell in cells { element("th", text: cell) }
        close("tr")
    }

    /// A text as it may stand in an element or in a quoted attribute (HTML, section 13.1.2).
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
