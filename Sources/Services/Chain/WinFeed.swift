import Commerce
import Synchronization

/// Tells the sealer which wins were committed, so that it need not read them.
final class WinFeed: Sendable {
    /// What came in of one campaign.
    struct Entry {
        fileprivate(set) var wins: [ChainedWin] = []
        /// Whether the list is without some wins, so that the sealer has to read them.
        fileprivate(set) var isPartial = false
    }

    private struct State {
        var entries: [CouponID: Entry] = [:]
        /// How many wins the entries have together.
        var count = 0

        mutating func add(_ win: ChainedWin, of coupon: CouponID) {
            guard count < WinFeed.limit else { return dropWins(of: coupon) }
            count += 1
            entries[coupon, default: Entry()].wins.append(win)
        }

        mutating func dropWins(of coupon: CouponID) {
            count -= entries[coupon]?.wins.count ?? 0
            entries[coupon] = Entry(isPartial: true)
        }
    }

    /// Raised by every win.
    let wakeup = Wakeup()
    private let keepsWins: Bool
    private let state = Mutex(State())

    /// How many wins wait in memory at most; the sealer reads those beyond.
    static let limit = 16_384

    /// - Parameter keepsWins: false where other services write wins too, so that the sealer reads them anyway.
    init(keepsWins: Bool) { self.keepsWins = keepsWins }

    /// Notes committed wins of one campaign. Event loops call this, so nothing is copied on the way.
    func add(_ new: some Sequence<ChainedWin>, of coupon: CouponID) {
        let isNew =
            keepsWins
            ? state.withLock { state in
                var isNew = false
                for win in new {
                    state.add(win, of: coupon)
                    isNew = true
                }
                return isNew
            } : new.contains { _ in true }
        if isNew { wakeup.raise() }
    }

    /// Has the sealer read the wins of a campaign.
    func look(at coupon: CouponID) {
        state.withLock { $0.dropWins(of: coupon) }
        wakeup.raise()
    }

    /// What came in since the last call.
    func take() -> [CouponID: Entry] {
        state.withLock { state in
            defer { state = State() }
            return state.entries
        }
    }
}
