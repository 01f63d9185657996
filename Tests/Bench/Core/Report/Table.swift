/// A table in Markdown that is aligned as plain text too.
package struct Table: Sendable {
    private var rows: [[String]]
    /// Columns of numbers: they are aligned to the right.
    private let numeric: ClosedRange<Int>?

    package init(_ header: [String], numeric: ClosedRange<Int>? = nil) { (rows, self.numeric) = ([header], numeric) }

    package mutating func add(_ cells: [String]) { rows.append(cells) }

    package var isEmpty: Bool { rows.count == 1 }

    package var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            let padded = cells.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return isNumeric(column) ? padding + cell : cell + padding
            }
            return "| \(padded.joined(separator: " | ")) |"
        }
        let rules = widths.enumerated().map { column, width in
            String(repeating: "-", count: width + (isNumeric(column) ? 1 : 2)) + (isNumeric(column) ? ":" : "")
        }
        return ([line(rows[0]), "|\(rules.joined(separator: "|"))|"] + rows.dropFirst().map(line)).joined(separator: "\n")
    }

    private func isNumeric(_ column: Int) -> Bool { numeric?.contains(column) ?? false }
}
