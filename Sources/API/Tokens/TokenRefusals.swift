import EventLoops

/// Counts, for one event loop, why requests had no identity.
final class TokenRefusals: Sendable {
    /// Why a request was answered 401. The raw value is the label of the metric.
    enum Reason: String, CaseIterable, Sendable {
        case missing
        case invalid
        case expired
        case premature
    }

    private let missing = LoopCounter()
    private let invalid = LoopCounter()
    private let expired = LoopCounter()
    private let premature = LoopCounter()

    /// Counts one refusal. Only the loop that owns this may call it.
    func count(_ fault: Authentication.Fault) {
        switch fault {
        case .missing: missing.add()
        case .invalid: invalid.add()
        case .expired: expired.add()
        case .premature: premature.add()
        }
    }

    func value(of reason: Reason) -> Int {
        switch reason {
        case .missing: missing.value
        case .invalid: invalid.value
        case .expired: expired.value
        case .premature: premature.value
        }
    }
}
