import EventLoops
import Services

/// Counts, for one event loop, how claims ended, whether the gate decided them or they were answered from memory.
final class ClaimOutcomes: Sendable {
    enum Outcome: Int, CaseIterable, Sendable {
        case issued
        case alreadyClaimed
        case soldOut
        case notOpen
        case closed
        case couponNotFound
        case userNotFound
        case keyReused
        case replayed
        case unavailable

        init(_ outcome: ClaimOutcome) {
            self =
                switch outcome {
                case .issued: .issued
                case .alreadyClaimed: .alreadyClaimed
                case .soldOut: .soldOut
                case .notOpen: .notOpen
                case .closed: .closed
                case .couponNotFound: .couponNotFound
                case .userNotFound: .userNotFound
                case .idempotencyKeyReused: .keyReused
                case .replayed: .replayed
                case .failed: .unavailable
                }
        }

        /// How it is written in the label `outcome`.
        var label: String {
            switch self {
            case .issued: "issued"
            case .alreadyClaimed: "already_claimed"
            case .soldOut: "sold_out"
            case .notOpen: "not_open"
            case .closed: "closed"
            case .couponNotFound: "coupon_not_found"
            case .userNotFound: "user_not_found"
            case .keyReused: "key_reused"
            case .replayed: "replayed"
            case .unavailable: "unavailable"
            }
        }
    }

    private let counters = InlineArray<10, LoopCounter> { _ in LoopCounter() }

    /// Counts one claim. Only the loop that owns this may call it.
    func count(_ outcome: Outcome) { counters[outcome.rawValue].add() }

    func value(of outcome: Outcome) -> Int { counters[outcome.rawValue].value }
}
