/// Builds HTML; text is escaped, so that no part of a document can become markup.
struct HTML {
    /// The markup so far.
    private(set) var text = ""

    /// Appends markup that is written in the sources.
    mutating func raw(_ markup: StaticString) {
        markup.withUTF8Buffer { text += String(decoding: $0, as: UTF8.self) }
    }

    /// Appends markup, or a style sheet, that is a file of the sources.
    mutating func verbatim(_ file: [UInt8]) { text += String(decoding: file, as: UTF8.self) }

    /// Appends text.
    mutating func add(_ plain: some StringProtocol) { text += HTML.escaped(plain) }

    /// Appends text in which backticks mark code, as descriptions have it.
    mutating func prose(_ markdown: String) {
        for (index, part) in markdown.split(separator: "`", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 0 { add(part) } else { element("code") { $0.add(part) } }
        }
    }

    /// Appends an element around what `content` appends.
    mutating func element(
        _ name: StaticString, _ attributes: [(name: StaticString, value: String)] = [], _ content: (inout HTML) -> Void
    ) {
        raw("<")
        raw(name)
        for attribute in attributes {
            raw(" ")
            raw(attribute.name)
            raw("=\"")
            add(attribute.value)
            raw("\"")
        }
        raw(">")
        content(&self)
        raw("</")
        raw(name)
        raw(">")
    }

    /// Appends a link to a place of this page.
    mutating func link(to anchor: String, _ content: (inout HTML) -> Void) {
        element("a", [("href", "#" + anchor)], content)
    }

    private static func escaped(_ plain: some StringProtocol) -> String {
        var escaped = ""
        for character in plain.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
