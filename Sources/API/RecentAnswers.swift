import HTTPServer
import Store

/// Answers that show one row of the store, rendered once for each change of the row.
struct RecentAnswers {
    private struct Entry {
        let id: Int64
        let version: RowVersions.Version
        let response: HTTPResponse
    }

    private let table: RowVersions.Table
    /// An answer takes the slot of whoever had it.
    private var slots = [Entry?](repeating: nil, count: 4_096)

    init(_ table: RowVersions.Table) { self.table = table }

    /// The answer for the row of an id; `render` reads the row, and gives nothing where there is none.
    mutating func answer(_ id: Int64, _ changes: RowVersions, render: () throws -> HTTPResponse?) rethrows -> HTTPResponse? {
        let slot = Int(id & Int64(slots.count - 1))
        let now = RowVersions.now
        if let entry = slots[slot], entry.id == id, changes.holds(entry.version, for: id, in: table, at: now) { return entry.response }
        // Asked before the row is read: a change in between makes the copy look older than it is.
        let version = changes.version(of: id, in: table, at: now)
        guard let response = try render() else { return nil }
        slots[slot] = Entry(id: id, version: version, response: response)
        return response
    }
}
