import Commerce
import GRDB

/// Where a list continues: the sort key of the last item, encoded so that clients do not depend on it.
///
/// Spelled as the letter of the list and 16 hexadecimal digits for each number of the key; `openapi.json` has a pattern for each list. A
/// cursor of another list, or of another order of the list, is refused.
struct Cursor {
    /// A list in one order, as the letter that its cursors begin with.
    enum List: Character {
        case campaigns = "c"
        case orders = "o"
        case issuedCoupons = "i"
        case balanceHistory = "h"
        case events = "e"
        case adminLog = "l"
        case grants = "g"
        case newestProducts = "n"
        case productsByPrice = "p"
        case productsByPriceDescending = "q"

        /// How many numbers the key has.
        var keyLength: Int {
            switch self {
            case .campaigns, .orders, .issuedCoupons, .balanceHistory, .events, .adminLog, .grants, .newestProducts: 1
            case .productsByPrice, .productsByPriceDescending: 2
            }
        }
    }

    let list: List
    /// Prices and ids, none of them negative.
    let key: [Int64]

    private static let digits = 16

    init(list: List, key: [Int64]) {
        assert(key.count == list.keyLength && key.allSatisfy { $0 >= 0 }, "no key of this list")
        (self.list, self.key) = (list, key)
    }

    var text: String {
        key.reduce(into: String(list.rawValue)) { text, number in
            let hexadecimal = String(number, radix: 16)
            text += String(repeating: "0", count: Cursor.digits - hexadecimal.count) + hexadecimal
        }
    }

    /// Reads a client's cursor; throws `invalidCursor` for anything that this list did not give out.
    init(_ text: String, list: List) throws {
        guard text.utf8.count == 1 + list.keyLength * Cursor.digits, text.first == list.rawValue else { throw Cursor.invalid }
        var key: [Int64] = []
        var rest = text.utf8.dropFirst()
        while !rest.isEmpty {
            guard let number = Cursor.number(rest.prefix(Cursor.digits)) else { throw Cursor.invalid }
            key.append(number)
            rest = rest.dropFirst(Cursor.digits)
        }
        self.init(list: list, key: key)
    }

    /// The number that 16 digits spell; nil for other characters, and for what is beyond `Int64`.
    private static func number(_ digits: Substring.UTF8View) -> Int64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return Int64(exactly: number)
    }

    private static let invalid = StoreError(.invalidCursor, "the cursor is not one of this list")
}

/// A list ordered by id, newest first, as most lists are.
struct NewestFirst {
    let list: Cursor.List

    /// The page holds ids below this one.
    func bound(_ page: PageRequest) throws -> Int64 {
        guard let text = page.cursor else { return .max }
        return try Cursor(text, list: list).key[0]
    }

    /// Makes a page from up to one row more than requested; the extra row only shows that there is a next page.
    func page<Item>(_ rows: [Item], _ request: PageRequest, id: (Item) -> Int64) -> Page<Item> {
        let items = Array(rows.prefix(request.limit))
        guard rows.count > request.limit, let last = items.last else { return Page(items: items, nextCursor: nil) }
        return Page(items: items, nextCursor: Cursor(list: list, key: [id(last)]).text)
    }
}
