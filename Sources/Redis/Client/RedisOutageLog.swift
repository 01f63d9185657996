import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Says in the log that Redis is gone and that it is back: one line each, however many connections there are and however often they try.
///
/// While Redis stays away a line reminds of it, at most once a minute. What is known lives in a mutex: connections are on several loops.
final class RedisOutageLog: Sendable {
    /// What the log has to be told.
    enum Line: Equatable {
        case gone
        case stillGone(for: Duration)
        case back(after: Duration)
    }

    private struct Outage {
        let since: NIODeadline
        var lastLine: NIODeadline
        var without: Set<ObjectIdentifier>
    }

    private let endpoint: RedisEndpoint
    private let logger: Logger
    private let outage = Mutex<Outage?>(nil)

    private static let reminderInterval: TimeAmount = .minutes(1)

    init(endpoint: RedisEndpoint, logger: Logger) {
        (self.endpoint, self.logger) = (endpoint, logger)
    }

    /// A connection, or the attempt at one, has ended, and another will be tried.
    func lost(_ connection: ObjectIdentifier, because error: RedisError, now: NIODeadline = .now()) {
        let line = note(loss: connection, now: now)
        switch line {
        case .gone: logger.warning("Redis at \(endpoint) is gone, trying again until it is back", metadata: ["reason": "\(error.reason)"])
        case .stillGone(let duration):
            logger.warning(
                "Redis at \(endpoint) is still gone", metadata: ["seconds": "\(duration.components.seconds)", "reason": "\(error.reason)"])
        case .back, nil: logger.debug("no connection to Redis", metadata: ["endpoint": "\(endpoint)", "reason": "\(error.reason)"])
        }
    }

    /// A connection is ready.
    func ready(_ connection: ObjectIdentifier, now: NIODeadline = .now()) {
        guard case .back(let duration)? = note(ready: connection, now: now) else {
            return logger.debug("connected to Redis", metadata: ["endpoint": "\(endpoint)"])
        }
        logger.notice("Redis at \(endpoint) is back", metadata: ["seconds": "\(duration.components.seconds)"])
    }

    func note(loss connection: ObjectIdentifier, now: NIODeadline) -> Line? {
        outage.withLock { outage in
            guard var known = outage else {
                outage = Outage(since: now, lastLine: now, without: [connection])
                return .gone
            }
            known.without.insert(connection)
            defer { outage = known }
            guard now - known.lastLine >= Self.reminderInterval else { return nil }
            known.lastLine = now
            return .stillGone(for: Duration(now - known.since))
        }
    }

    func note(ready connection: ObjectIdentifier, now: NIODeadline) -> Line? {
        outage.withLock { known in
            guard let since = known?.since else { return nil }
            known?.without.remove(connection)
            guard known?.without.isEmpty == true else { return nil }
            known = nil
            return .back(after: Duration(now - since))
        }
    }
}

extension RedisError {
    /// The message with what caused it, in words, for logs.
    package var reason: String {
        guard let cause else { return message }
        return "\(message): \(Self.words(cause))"
    }

    /// What people are told of an error of a library below. Its own text may be the dump of a structure with other errors inside.
    private static func words(_ error: any Error) -> String {
        switch error {
        case let error as RedisError: error.reason
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError: words(ofAttempts: error)
        case ChannelError.connectTimeout(let limit): "no answer within \(Duration(limit))"
        case ChannelError.eof, ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed: "the connection was closed"
        case is CancellationError: "the attempt was cancelled"
        default: String(describing: error)
        }
    }

    private static func words(ofAttempts error: NIOConnectionError) -> String {
        if let first = error.connectionErrors.first { return words(first.error) }
        // Neither family of addresses was found.
        return "the name \(error.host) is not known"
    }
}
