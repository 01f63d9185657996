import GRDB

/// A bitmap of the places of products in their chunk; it intersects the rows that the index has for several parts.
struct PlaceBitmap {
    private var words: [UInt64]

    private static let wordCount = NameIndex.placesInChunk / 64

    /// - Parameter bytes: the column `products` of a row of the index.
    init(_ bytes: UnsafeRawBufferPointer) {
        words = Array(repeating: 0, count: Self.wordCount)
        guard bytes.count != PlaceSet.bitmapBytes else {
            for index in words.indices {
                words[index] = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
            }
            return
        }
        for offset in stride(from: 0, to: bytes.count - 1, by: 2) {
            let place = Self.place(bytes, offset)
            words[place >> 6] |= 1 << UInt64(place & 63)
        }
    }

    /// Keeps the places that are also in this row of the index.
    mutating func formIntersection(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count != PlaceSet.bitmapBytes else {
            for index in words.indices {
                words[index] &= UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
            }
            return
        }
        var common: [UInt64] = Array(repeating: 0, count: Self.wordCount)
        for offset in stride(from: 0, to: bytes.count - 1, by: 2) {
            let place = Self.place(bytes, offset)
            common[place >> 6] |= words[place >> 6] & 1 << UInt64(place & 63)
        }
        words = common
    }

    private static func place(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int {
        Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))) & (NameIndex.placesInChunk - 1)
    }

    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    func contains(_ place: Int) -> Bool { words[place >> 6] & 1 << UInt64(place & 63) != 0 }

    /// Calls the body with the places below `bound`, highest first, until it returns false.
    func descending(below bound: Int, while body: (Int) throws -> Bool) rethrows {
        guard bound > 0 else { return }
        for index in stride(from: (bound - 1) >> 6, through: 0, by: -1) {
            var word = words[index]
            if bound >> 6 == index { word &= 1 << UInt64(bound & 63) - 1 }
            while word != 0 {
                let bit = 63 - word.leadingZeroBitCount
                word &= ~(1 << UInt64(bit))
                guard try body(index << 6 | bit) else { return }
            }
        }
    }
}

/// The products whose names have all of some parts, read from the index chunk by chunk.
///
/// A candidate's name may have the parts in other places than the text that is searched, so callers compare the name itself.
struct NameCandidates {
    private var parts: [NamePart]
    /// The chunks that were read; nil for a chunk without a candidate.
    private var known: [Int64: PlaceBitmap?] = [:]

    /// With at most this many candidates, reading the products costs less than reading one more row of the index.
    private static let fewEnough = 2

    init(_ parts: [NamePart]) {
        self.parts = parts
    }

    /// The candidates of a chunk; nil where it has none.
    mutating func chunk(_ chunk: Int64, _ db: Database, _ budget: inout SearchBudget) throws -> PlaceBitmap? {
        if let known = known[chunk] { return known }
        let read = try readChunk(chunk, db, &budget)
        known[chunk] = .some(read)
        return read
    }

    mutating func contains(_ id: Int64, _ db: Database, _ budget: inout SearchBudget) throws -> Bool {
        try chunk(NameIndex.chunk(of: id), db, &budget)?.contains(NameIndex.place(of: id)) ?? false
    }

    private mutating func readChunk(_ chunk: Int64, _ db: Database, _ budget: inout SearchBudget) throws -> PlaceBitmap? {
        var common: PlaceBitmap?
        for (index, part) in parts.enumerated() {
            budget.spend(.indexRow)
            let isPresent: Void? = try db.first("SELECT products FROM product_name_index WHERE key = ?", NameIndex.key(part, chunk)) {
                row in
                row.withBlob(0) { bytes in
                    if common == nil { common = PlaceBitmap(bytes) } else { common?.formIntersection(bytes) }
                }
            }
            let count = isPresent == nil ? 0 : common?.count ?? 0
            guard count > 0 else {
                // The part that has just ruled out a whole chunk is read first in the next one.
                parts.swapAt(0, index)
                return nil
            }
            if count <= Self.fewEnough { break }
        }
        return common
    }
}
