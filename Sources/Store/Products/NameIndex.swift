import Commerce
package import GRDB

/// The search index of product names: which products have a part in their name.
///
/// A row belongs to one part and one chunk of 16,384 products with successive ids. Reading the rows of a few parts for all
/// chunks of a million products takes less than a millisecond, so the products that have all parts are found fast, however common
/// each part is. The index holds no prices: pages in the order of prices combine it with the index of prices.
enum NameIndex {
    /// The table; the transactions that create and rename products keep it up to date.
    static let schema = """
        CREATE TABLE product_name_index (
            key INTEGER PRIMARY KEY,
            products BLOB NOT NULL
        ) STRICT;
        """

    /// The lower bits of a product's id, which are its place in its chunk.
    static let placeBits: Int64 = 14
    static let placesInChunk = 1 << placeBits
    /// The bits of a key that are left for the chunk: enough for 34 billion products.
    static let chunkBits: Int64 = 63 - NamePart.bits

    static func chunk(of id: Int64) -> Int64 { id >> placeBits }
    static func place(of id: Int64) -> Int { Int(id & Int64(placesInChunk - 1)) }

    /// The key of the row for a part and a chunk.
    static func key(_ part: NamePart, _ chunk: Int64) -> Int64 { part.rawValue << chunkBits | chunk }
}

/// What a row of the index holds: the places of products in their chunk.
///
/// Fewer than 1,024 are a list of ascending places, two bytes each; more are a bitmap of 2,048 bytes, which is then shorter.
struct PlaceSet: Equatable {
    private(set) var bytes: [UInt8]

    static let bitmapBytes = NameIndex.placesInChunk / 8

    init(bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    /// - Parameter places: ascending.
    init(_ places: [UInt16]) {
        self.init()
        guard 2 * places.count >= Self.bitmapBytes else {
            for place in places { bytes += [UInt8(truncatingIfNeeded: place), UInt8(truncatingIfNeeded: place >> 8)] }
            return
        }
        bytes = Array(repeating: 0, count: Self.bitmapBytes)
        for place in places { bytes[Int(place) >> 3] |= 1 << UInt8(place & 7) }
    }

    var isEmpty: Bool { bytes.isEmpty }

    private var isBitmap: Bool { bytes.count == Self.bitmapBytes }

    /// The places, ascending.
    var places: [UInt16] {
        guard isBitmap else { return listed }
        return (0..<UInt16(NameIndex.placesInChunk)).filter { place in bytes[Int(place >> 3)] >> UInt8(place & 7) & 1 == 1 }
    }

    mutating func insert(_ place: Int) {
        guard !isBitmap else {
            bytes[place >> 3] |= 1 << UInt8(place & 7)
            return
        }
        let (index, isMember) = find(place)
        guard !isMember else { return }
        bytes.insert(contentsOf: [UInt8(truncatingIfNeeded: place), UInt8(truncatingIfNeeded: place >> 8)], at: 2 * index)
        // The list is as long as a bitmap now, which is how the two are told apart: it becomes one.
        if isBitmap { self = PlaceSet(listed) }
    }

    mutating func remove(_ place: Int) {
        guard isBitmap else {
            let (index, isMember) = find(place)
            if isMember { bytes.removeSubrange(2 * index..<2 * index + 2) }
            return
        }
        bytes[place >> 3] &= ~(1 << UInt8(place & 7))
        if bytes.reduce(0, { $0 + $1.nonzeroBitCount }) * 2 < Self.bitmapBytes { self = PlaceSet(places) }
    }

    /// The places, where the bytes are a list.
    private var listed: [UInt16] {
        stride(from: 0, to: bytes.count - 1, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
    }

    /// Where a place is in the list, or would be.
    private func find(_ place: Int) -> (index: Int, isMember: Bool) {
        // New products have the highest ids, so most places come last.
        var (low, high) = (0, bytes.count / 2)
        func listed(_ index: Int) -> Int { Int(bytes[2 * index]) | Int(bytes[2 * index + 1]) << 8 }
        if high > 0, listed(high - 1) < place { return (high, false) }
        while low < high {
            let middle = (low + high) / 2
            if listed(middle) < place { low = middle + 1 } else { high = middle }
        }
        return (low, 2 * low < bytes.count && listed(low) == place)
    }
}

// MARK: - Upkeep

extension Database {
    /// Adds a new product to the index.
    func addToNameIndex(_ id: ProductID, _ folded: String) throws {
        try changeNameIndex(id, NamePart.all(of: folded)) { $0.insert($1) }
    }

    /// Replaces a product's old name by its new one in the index.
    func renameInNameIndex(_ id: ProductID, from old: String, to new: String) throws {
        let (before, after) = (NamePart.all(of: old), NamePart.all(of: new))
        try changeNameIndex(id, before.subtracting(after)) { $0.remove($1) }
        try changeNameIndex(id, after.subtracting(before)) { $0.insert($1) }
    }

    private func changeNameIndex(_ id: ProductID, _ parts: Set<NamePart>, _ change: (inout PlaceSet, Int) -> Void) throws {
        let (chunk, place) = (NameIndex.chunk(of: id.rawValue), NameIndex.place(of: id.rawValue))
        guard chunk < 1 << NameIndex.chunkBits else { throw StoreError(.internal, "the name index has no room for more products") }
        for part in parts.sorted() {
            let key = NameIndex.key(part, chunk)
            var places =
                try first("SELECT products FROM product_name_index WHERE key = ?", key) { PlaceSet(bytes: $0.blob(0)) } ?? PlaceSet()
            change(&places, place)
            if places.isEmpty {
                try run("DELETE FROM product_name_index WHERE key = ?", key)
            } else {
                try run("INSERT OR REPLACE INTO product_name_index (key, products) VALUES (?, ?)", key, Blob(bytes: places.bytes))
            }
        }
    }

    /// Fills the empty index of a store that is migrated or was filled by SQL. Takes memory for one chunk at a time.
    package func buildNameIndex() throws {
        let last = try integer("SELECT max(id) FROM products")
        for chunk in 0...NameIndex.chunk(of: last) {
            var rows: [NamePart: [UInt16]] = [:]
            let start = chunk << NameIndex.placeBits
            try forEach(
                "SELECT id, name_folded FROM products WHERE id >= ? AND id < ? ORDER BY id", start, start + Int64(NameIndex.placesInChunk)
            ) { row in
                let place = UInt16(NameIndex.place(of: row.int(0)))
                for part in NamePart.all(of: row.text(1)) { rows[part, default: []].append(place) }
            }
            for (part, places) in rows.sorted(by: { $0.key < $1.key }) {
                try run(
                    "INSERT INTO product_name_index (key, products) VALUES (?, ?)", NameIndex.key(part, chunk),
                    Blob(bytes: PlaceSet(places).bytes))
            }
        }
    }
}
