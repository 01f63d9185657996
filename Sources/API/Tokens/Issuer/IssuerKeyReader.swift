import Commerce
import Logging
import NIOCore
import Services
import Synchronization

/// Reads the issuer's key set: at the start, on a signal, at an interval, and where a token names a key that is not known.
///
/// Its state lives in a mutex. One reading runs at a time. Where one fails, the keys that were read before stay in use.
final class IssuerKeyReader: Sendable {
    /// Where the set is, for the log.
    let place: String
    private let read: @Sendable () async throws(KeySetError) -> ByteBuffer
    private let interval: Duration
    private let now: @Sendable () -> ContinuousClock.Instant
    private let clock: WallClock
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var running: Task<Void, Never>?
        /// When a token with an unknown key may cause the next reading.
        var notBefore: ContinuousClock.Instant?
        /// Requests that wait for the running one.
        var waiting = 0
        /// Whether the last reading failed.
        var isFailing = false
        /// When the last reading that succeeded ended; nil before the first.
        var succeededAt: Instant?
    }

    /// The least time between the beginnings of two readings that unknown keys cause.
    static let pause: Duration = .seconds(10)
    /// Requests that wait for a reading at a time. The rest are refused at once, as if nothing could be read.
    static let mostWaiting = 512

    init(
        place: String, interval: Duration, logger: Logger, clock: WallClock = .system,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        read: @escaping @Sendable () async throws(KeySetError) -> ByteBuffer
    ) {
        (self.place, self.interval, self.logger, self.clock, self.now, self.read) = (place, interval, logger, clock, now, read)
    }

    /// Reads the set into `keys`.
    ///
    /// - Throws: where it cannot be read. Then the keys stay as they are.
    func reread(into keys: TokenKeys) async throws(KeySetError) {
        let set: IssuerKeySet
        let ignored: [IssuerKeySet.Ignored]
        do throws(KeySetError) {
            (set, ignored) = try IssuerKeySet.read(try await read())
        } catch {
            state.withLock { $0.isFailing = true }
            throw KeySetError(code: error.code, "the key set \(place) \(error.message)")
        }
        let wasFailing = state.withLock { state in
            defer { (state.isFailing, state.succeededAt) = (false, clock.now) }
            return state.isFailing
        }
        if wasFailing {
            logger.info("the key set can be read again", metadata: ["place": "\(place)"])
        }
        let difference = keys.replace(issuer: set)
        guard !difference.added.isEmpty || !difference.removed.isEmpty else { return }
        logger.info(
            "the issuer's keys have changed",
            metadata: ["added": "\(Self.names(difference.added))", "removed": "\(Self.names(difference.removed))"])
        for key in ignored.prefix(8) {
            logger.info("a key of the key set is not used", metadata: ["key": "\(key.place)", "reason": "\(key.reason)"])
        }
    }

    /// Key ids as they may stand in a line of the log.
    private static func names(_ keys: [IssuerKey]) -> String {
        keys.map { key in
            guard let id = key.id, id.utf8.count <= 64, id.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                return "\(key.algorithm.rawValue) \(key.fingerprint.prefix(4).map { String($0, radix: 16) }.joined())"
            }
            return id
        }.joined(separator: ", ")
    }

    /// Reads the set again because a token names a key that is not in it.
    ///
    /// - Returns: the reading to wait for, after which ``endWaiting()`` must be called; nil where the last one is too recent, or too many
    ///   requests wait already. The set may then be looked at as it is.
    func rereadForUnknownKey(into keys: TokenKeys) -> Task<Void, Never>? {
        state.withLock { state -> Task<Void, Never>? in
            guard state.waiting < Self.mostWaiting else { return nil }
            if state.running == nil {
                let now = now()
                if let notBefore = state.notBefore, now < notBefore { return nil }
                state.notBefore = now + Self.pause
                state.running = Task {
                    await rereadQuietly(into: keys)
                    self.state.withLock { $0.running = nil }
                }
            }
            state.waiting += 1
            return state.running
        }
    }

    func endWaiting() { state.withLock { $0.waiting -= 1 } }

    /// Reads the set at its interval, until the task is cancelled. So a key that the issuer has removed leaves, even where no token
    /// names a new one.
    func rereadRegularly(into keys: TokenKeys) async {
        while !Task.isCancelled {
            // Spread over a tenth, so that services that were started together do not read together.
            try? await Task.sleep(for: interval * Double.random(in: 0.95...1.05))
            if !Task.isCancelled { await rereadQuietly(into: keys) }
        }
    }

    /// Logs the first failure in a row.
    private func rereadQuietly(into keys: TokenKeys) async {
        let wasFailing = state.withLock { $0.isFailing }
        do {
            try await reread(into: keys)
        } catch {
            if !wasFailing { logger.warning("the issuer's keys stay as they are: \(error.message)") }
        }
    }

    /// When the set was read successfully last, and whether a later reading failed; nil before the first success.
    var lastReading: (succeededAt: Instant, isFailing: Bool)? {
        state.withLock { state in state.succeededAt.map { ($0, state.isFailing) } }
    }
}
