import Foundation

/// How numbers and columns are written.
enum Text {
    /// A number with a comma between thousands.
    static func number(_ value: some BinaryInteger) -> String {
        var (digits, text) = (Array(String(value.magnitude)), "")
        while digits.count > 3 {
            text = "," + String(digits.suffix(3)) + text
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + String(digits) + text
    }

    static func milliseconds(_ duration: Duration) -> String { String(format: "%.1f ms", duration / .milliseconds(1)) }

    static func seconds(_ duration: Duration) -> String { String(format: "%.1f s", duration / .seconds(1)) }

    /// The columns that a text takes in a terminal: a Hangul syllable takes two.
    static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + (("\u{1100}"..."\u{115F}").contains($1) || ("\u{AC00}"..."\u{D7A3}").contains($1) ? 2 : 1) }
    }

    static func padded(_ text: String, _ columns: Int, toRight: Bool = false) -> String {
        let room = String(repeating: " ", count: max(0, columns - width(text)))
        return toRight ? room + text : text + room
    }

    static func bar(_ value: Int64, of most: Int64, columns: Int) -> String {
        String(repeating: "█", count: most > 0 ? max(1, Int(value * Int64(columns) / most)) : 0)
    }
}
