import Commerce
import GRDB

// The audit compares the index of names with the names by a checksum. Each pair of a part and a product has a mark, a hash of 38 bits; two
// different sets of pairs hardly ever have the same sum of marks. So names and index are read once each, and neither is kept in memory.

extension NameIndex {
    /// `name_mark(name_folded, id)`: the sum of the marks that the index should have for a product.
    static let nameMark = DatabaseFunction("name_mark", argumentCount: 2, pure: true) { values in
        guard let folded = String.fromDatabaseValue(values[0]), let id = Int64.fromDatabaseValue(values[1]) else { return nil }
        return NamePart.all(of: folded).reduce(0) { $0 + mark($1.rawValue, place(of: id)) }
    }

    /// `name_index_mark(key, products)`: the sum of the marks that a row of the index has.
    static let rowMark = DatabaseFunction("name_index_mark", argumentCount: 2, pure: true) { values in
        guard let key = Int64.fromDatabaseValue(values[0]), case .blob(let data) = values[1].storage else { return nil }
        return PlaceSet(bytes: Array(data)).places.reduce(0) { $0 + mark(key >> chunkBits, Int($1)) }
    }

    /// The mark of a pair: less than 2^38, so that the sum for a chunk stays below 2^63. A chunk has 2^14 products. A name has at most 200
    /// characters, folding makes at most three of each, and 600 characters have fewer than 2^11 parts (600 and 599 pairs).
    private static func mark(_ part: Int64, _ place: Int) -> Int64 {
        // The finalizer of SplitMix64.
        var bits = UInt64(bitPattern: part) << 14 ^ UInt64(place)
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return Int64((bits ^ bits >> 31) >> 26)
    }
}

extension AuditRule {
    static let names = AuditRule(
        invariant: 2, claim: "each product is found by every part of its name, and by nothing else",
        coverage: "SELECT count(*) FROM products",
        violations: """
            SELECT 'products ' || max(1, chunk << \(NameIndex.placeBits)) || ' to ' || (((chunk + 1) << \(NameIndex.placeBits)) - 1)
                || ': the search index differs from their names'
            FROM (
                SELECT id >> \(NameIndex.placeBits) chunk, name_mark(name_folded, id) mark FROM products
                UNION ALL
                SELECT key & \((1 << NameIndex.chunkBits) - 1), -name_index_mark(key, products) FROM product_name_index)
            GROUP BY chunk HAVING sum(mark) <> 0
            """)
}
