import Commerce
import Foundation
import GRDB

/// Where a list continues: the sort key of the last item, encoded so that clients do not depend on it.
///
/// Spelled `<list>.<number>.<number>...` in base64url; a cursor of another list, or of another order of the list, is refused.
struct Cursor {
    let list: String
    let key: [Int64]

    init(list: String, key: [Int64]) {
        (self.list, self.key) = (list, key)
    }

    var text: String {
        Data(([list] + key.map(String.init)).joined(separator: ".").utf8).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Reads a client's cursor; throws `invalidCursor` for anything that this list did not give out.
    init(_ text: String, list: String, keyLength: Int) throws {
        // No list gives out longer cursors, so a longer text is not even decoded.
        guard text.utf8.count <= 128, !text.contains("=") else { throw Self.invalid }
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64 + padding), let plain = String(validating: data, as: UTF8.self) else {
            throw Self.invalid
        }
        let parts = plain.split(separator: ".", omittingEmptySubsequences: false)
        let key = parts.dropFirst().compactMap { Int64($0) }
        guard parts.first.map(String.init) == list, key.count == parts.count - 1, key.count == keyLength else { throw Self.invalid }
        self.init(list: list, key: key)
    }

    private static let invalid = StoreError(.invalidCursor, "the cursor is not one of this list")
}

/// A list ordered by id, newest first, as most lists are.
struct NewestFirst {
    let list: String

    /// The page holds ids below this one.
    func bound(_ page: PageRequest) throws -> Int64 {
        guard let text = page.cursor else { return .max }
        return try Cursor(text, list: list, keyLength: 1).key[0]
    }

    /// Makes a page from up to one row more than requested; the extra row only shows that there is a next page.
    func page<Item>(_ rows: [Item], _ request: PageRequest, id: (Item) -> Int64) -> Page<Item> {
        let items = Array(rows.prefix(request.limit))
        guard rows.count > request.limit, let last = items.last else { return Page(items: items, nextCursor: nil) }
        return Page(items: items, nextCursor: Cursor(list: list, key: [id(last)]).text)
    }
}
