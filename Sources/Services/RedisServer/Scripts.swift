import LuaScripts
package import Redis

/// The Lua scripts for the Redis client.
///
/// A script is repeatable where a second run with the same arguments leaves Redis in the same state and its reply fits that. The client
/// sends only repeatable scripts again after a lost reply.
package enum Scripts {
    /// Repeatable: a claim sent again after a lost reply is answered `alreadyClaimed` with the same sequence.
    package static let claimCoupon = RedisScript(name: "claim_coupon", source: LuaScripts.claimCoupon, keyCount: 2, isRepeatable: true)
    package static let loadCoupon = RedisScript(name: "load_coupon", source: LuaScripts.loadCoupon, keyCount: 2)
    package static let loadClaims = RedisScript(name: "load_claims", source: LuaScripts.loadClaims, keyCount: 2, isRepeatable: true)
    package static let openCoupon = RedisScript(name: "open_coupon", source: LuaScripts.openCoupon, keyCount: 2, isRepeatable: true)
    package static let adjustCoupon = RedisScript(name: "adjust_coupon", source: LuaScripts.adjustCoupon, keyCount: 2, isRepeatable: true)
    package static let admitStore = RedisScript(name: "admit_store", source: LuaScripts.admitStore, keyCount: 2, isRepeatable: true)
    package static let archiveCoupon = RedisScript(
        name: "archive_coupon", source: LuaScripts.archiveCoupon, keyCount: 2, isRepeatable: true)
    package static let recordSales = RedisScript(name: "record_sales", source: LuaScripts.recordSales, keyCount: 4)
    package static let recordViews = RedisScript(name: "record_views", source: LuaScripts.recordViews, keyCount: 2)
    package static let rankProducts = RedisScript(name: "rank_products", source: LuaScripts.rankProducts, keyCount: 10, isRepeatable: true)
    package static let swapSales = RedisScript(name: "swap_sales", source: LuaScripts.swapSales, keyCount: 4 + 2 * RankingDays.kept)

    package static let appendEvents = RedisScript(name: "append_events", source: LuaScripts.appendEvents, keyCount: 2)

    /// Not repeatable: sent again, it would take another token.
    package static let takeTokens = RedisScript(name: "take_tokens", source: LuaScripts.takeTokens, keyCount: 2)

    package static let all = [
        claimCoupon, loadCoupon, loadClaims, openCoupon, adjustCoupon, archiveCoupon, recordSales, recordViews, rankProducts, swapSales,
        admitStore, appendEvents, takeTokens,
    ]
}

/// The return codes of `claim_coupon`, one for each claim; the script's header names them too.
package enum ClaimCode: Int64, CaseIterable, Sendable {
    case claimed = 1
    case alreadyClaimed, soldOut, notOpen, closed, paused, notLoaded, damaged, otherStore
}

/// The return codes of `load_coupon`.
package enum LoadCode: Int64, CaseIterable, Sendable {
    case loading = 1
    case superseded
}

/// The return codes of `load_claims`.
package enum LoadClaimsCode: Int64, CaseIterable, Sendable {
    case loaded = 1
    case superseded, notLoaded
}

/// The return codes of `open_coupon`.
package enum OpenCode: Int64, CaseIterable, Sendable {
    case opened = 1
    case superseded, notLoaded, incomplete
}

/// The return codes of `adjust_coupon`.
package enum AdjustCode: Int64, CaseIterable, Sendable {
    case adjusted = 1
    case belowIssued, notLoaded, paused, otherStore
}

/// The return codes of `admit_store`.
package enum AdmitStoreCode: Int64, CaseIterable, Sendable {
    case admitted = 1
    case otherStore, unknownStore
}

/// The return codes of `archive_coupon`.
package enum ArchiveCode: Int64, CaseIterable, Sendable {
    case removed = 1
    case superseded
}

/// The return codes of `record_sales`.
package enum RecordSalesCode: Int64, CaseIterable, Sendable {
    case applied = 1
    case notNext, noOffset, dayChanged, otherStore
}

/// The return codes of `swap_sales`.
package enum SwapSalesCode: Int64, CaseIterable, Sendable {
    case swapped = 1
    case incomplete, otherStore
}

/// The return codes of `record_views`.
package enum RecordViewsCode: Int64, CaseIterable, Sendable {
    case recorded = 1
}

/// The return codes of `append_events`.
package enum AppendEventsCode: Int64, CaseIterable, Sendable {
    case appended = 1
    case otherLast
}

/// The return codes of `take_tokens`.
package enum TakeTokensCode: Int64, CaseIterable, Sendable {
    case taken = 1
    case addressRefused, userRefused
}

/// A script's reply `{code, number, ...}`, decoded with the enum of its return codes.
struct ScriptAnswer<Code: RawRepresentable<Int64>> {
    let code: Code
    private let elements: [RedisValue]

    init(_ reply: RedisValue, of script: RedisScript) throws(ServiceError) {
        guard case .array(let elements) = reply, case .integer(let number)? = elements.first, let code = Code(rawValue: number) else {
            throw ServiceError(.internal, "\(script.name) gave a reply that its header does not describe")
        }
        self.code = code
        self.elements = elements
    }

    /// The number after the code at `index` (1 is the first); 0 where the script left it out.
    func number(_ index: Int) -> Int64 {
        guard index < elements.count, case .integer(let value) = elements[index] else { return 0 }
        return value
    }
}
