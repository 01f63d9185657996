/// Where events go.
enum Delivery: Sendable {
    case platform(EventDelivery)
    case stream(StreamDelivery)

    /// Raised when events may be due.
    var wakeup: Wakeup {
        switch self {
        case .platform(let delivery): delivery.wakeup
        case .stream(let delivery): delivery.wakeup
        }
    }

    /// Delivers what is due.
    ///
    /// - Returns: after which time something is due again; `nil` where nothing waits for a time.
    func step() async throws -> Duration? {
        switch self {
        case .platform(let delivery): return try await delivery.step()
        case .stream(let delivery):
            try await delivery.step()
            return nil
        }
    }

    /// An operator has had parked events tried again.
    func eventsRetried() {
        switch self {
        case .platform(let delivery): delivery.lookAgainAtAll()
        case .stream(let delivery): delivery.wakeup.raise()
        }
    }

    /// The Redis that is connected may be another one, or an older copy.
    func forgetLast() {
        if case .stream(let delivery) = self { delivery.forgetLast() }
    }
}
