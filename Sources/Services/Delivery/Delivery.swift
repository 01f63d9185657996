/// Where the events of the outbox are delivered.
enum Delivery: Sendable {
    case platform(PlatformDelivery)
    case stream(StreamDelivery)

    /// Raised when there may be events to deliver.
    var wakeup: Wakeup {
        switch self {
        case .platform(let delivery): delivery.wakeup
        case .stream(let delivery): delivery.wakeup
        }
    }

    /// Delivers the events that may be sent now.
    ///
    /// - Returns: the time after which another step is needed without a wake-up; `nil` for no such time.
    func step() async throws -> Duration? {
        switch self {
        case .platform(let delivery): return try await delivery.step()
        case .stream(let delivery):
            try await delivery.step()
            return nil
        }
    }

    /// Must be called after an operator has retried parked events.
    func eventsRetried() {
        switch self {
        case .platform(let delivery): delivery.readAllAgain()
        case .stream(let delivery): delivery.wakeup.raise()
        }
    }

    /// Drops what is known of the events, because another service may have delivered them meanwhile.
    func startOver() async {
        switch self {
        case .platform(let delivery): await delivery.startOver()
        case .stream(let delivery): delivery.forgetLast()
        }
    }

    /// Drops what is known of the stream. Call it after a reconnect, which may lead to another Redis or to an older copy.
    func forgetLast() {
        if case .stream(let delivery) = self { delivery.forgetLast() }
    }
}
