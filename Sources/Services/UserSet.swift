import Commerce

/// A set of users as one bit for each id: ids count up from 1 without a gap, so nothing is smaller or looked up faster.
struct UserSet: Sendable {
    /// Ids from here on are not taken in: 16 MiB of bits is enough for 134 million users.
    static let limit: Int64 = 1 << 27

    private var words: [UInt64] = []
    private(set) var count: Int64 = 0

    /// Memory that the set takes.
    var bytes: Int { words.count * 8 }

    /// - Returns: false where the id is beyond the limit, and the set lacks it.
    mutating func insert(_ user: UserID) -> Bool {
        guard (0..<Self.limit).contains(user.rawValue) else { return false }
        let (word, bit) = Self.place(user)
        if word >= words.count { words.append(contentsOf: repeatElement(0, count: max(word + 1 - words.count, words.count / 2))) }
        if words[word] & bit == 0 {
            words[word] |= bit
            count += 1
        }
        return true
    }

    func contains(_ user: UserID) -> Bool {
        let (word, bit) = Self.place(user)
        return words.indices.contains(word) && words[word] & bit != 0
    }

    private static func place(_ user: UserID) -> (word: Int, bit: UInt64) {
        (Int(user.rawValue >> 6), 1 << UInt64(user.rawValue & 63))
    }
}
