import JSON
import NIOCore

extension JSONValue {
    /// The value as JSON for people: members and elements on lines of their own, unless the whole value is short.
    var indented: String { indented(by: 0) }

    /// The value as JSON on one line.
    var compact: String {
        var json = JSONWriter()
        json.element(self)
        return String(buffer: json.buffer)
    }

    /// The longest value that stays on one line.
    private static let shortLength = 60

    private func indented(by depth: Int) -> String {
        let line = compact
        let margin = String(repeating: "  ", count: depth + 1)
        let end = "\n" + String(repeating: "  ", count: depth)
        switch self {
        case .array(let elements) where line.count > Self.shortLength:
            return "[\n" + elements.map { margin + $0.indented(by: depth + 1) }.joined(separator: ",\n") + end + "]"
        case .object(let object) where line.count > Self.shortLength || depth == 0 && object.members.count > 1:
            let members = object.members.map { "\(margin)\(JSONValue.string($0.name).compact): \($0.value.indented(by: depth + 1))" }
            return "{\n" + members.joined(separator: ",\n") + end + "}"
        default:
            return line
        }
    }
}
