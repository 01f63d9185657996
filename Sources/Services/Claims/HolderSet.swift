import Commerce

/// The users who have claimed a coupon of a campaign.
///
/// Stored in the smaller of two forms: the sorted ids, or one bit for each id between the least and the greatest.
struct HolderSet: Sendable {
    private enum Form: Sendable {
        case sorted([Int64])
        case bits(first: Int64, words: [UInt64])
    }

    private let form: Form
    let count: Int

    /// - Parameter users: in any order, each once.
    init(_ users: [UserID]) {
        count = users.count
        guard let least = users.min()?.rawValue, let greatest = users.max()?.rawValue else {
            form = .sorted([])
            return
        }
        let (span, overflow) = greatest.subtractingReportingOverflow(least)
        guard !overflow, span / 64 < users.count else {
            form = .sorted(users.map(\.rawValue).sorted())
            return
        }
        var words = [UInt64](repeating: 0, count: Int(span / 64) + 1)
        for user in users {
            let place = user.rawValue - least
            words[Int(place >> 6)] |= 1 << UInt64(place & 63)
        }
        form = .bits(first: least, words: words)
    }

    /// The memory that the set takes, in bytes.
    var bytes: Int {
        switch form {
        case .sorted(let ids): ids.count * 8
        case .bits(_, let words): words.count * 8
        }
    }

    func contains(_ user: UserID) -> Bool {
        let id = user.rawValue
        switch form {
        case .bits(let first, let words):
            let (place, overflow) = id.subtractingReportingOverflow(first)
            guard !overflow, place >= 0, place >> 6 < words.count else { return false }
            return words[Int(place >> 6)] & (1 << UInt64(place & 63)) != 0
        case .sorted(let ids):
            var (low, high) = (0, ids.count)
            while low < high {
                let middle = (low + high) / 2
                if ids[middle] < id { low = middle + 1 } else { high = middle }
            }
            return low < ids.count && ids[low] == id
        }
    }
}
