import Commerce
import Synchronization

/// Tells the sealer which wins were committed, so that it need not read them.
final class WinFeed: Sendable {
    /// What came in of one campaign.
    struct Entry {
        var wins: [ChainedWin] = []
        /// Whether there may be wins that are not in the list.
        var isPartial = false
    }

    /// Raised by every win.
    let wakeup = Wakeup()
    private let keepsWins: Bool
    private let entries = Mutex<[CouponID: Entry]>([:])

    /// Wins of one campaign that wait in memory at most; the sealer reads what is beyond.
    static let limit = 8_192
    /// Campaigns whose wins wait in memory at most.
    private static let campaigns = 256

    /// - Parameter keepsWins: false where other services write wins too, so that the sealer reads them anyway.
    init(keepsWins: Bool) { self.keepsWins = keepsWins }

    /// Notes committed wins of one campaign.
    func add(_ wins: [ChainedWin], of coupon: CouponID) {
        if keepsWins {
            entries.withLock { entries in
                guard entries[coupon] != nil || entries.count < Self.campaigns else { return }
                var entry = entries.removeValue(forKey: coupon) ?? Entry()
                if entry.wins.count + wins.count <= Self.limit { entry.wins += wins } else { entry = Entry(isPartial: true) }
                entries[coupon] = entry
            }
        }
        wakeup.raise()
    }

    /// Has the sealer read the wins of a campaign.
    func look(at coupon: CouponID) {
        entries.withLock { $0[coupon] = Entry(isPartial: true) }
        wakeup.raise()
    }

    /// What came in since the last call.
    func take() -> [CouponID: Entry] {
        entries.withLock { entries in
            defer { entries = [:] }
            return entries
        }
    }
}
