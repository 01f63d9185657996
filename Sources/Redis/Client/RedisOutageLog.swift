import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Logs once that Redis is gone and once that it is back, however many connections there are and however often they try.
///
/// While Redis stays away, a reminder is logged at most once a minute. The state is in a mutex, because connections are on several loops.
final class RedisOutageLog: Sendable {
    /// A line to log.
    enum Line: Equatable {
        case gone
        case stillGone(for: Duration)
        case back(after: Duration)
    }

    private struct Outage {
        let since: NIODeadline
        var lastLine: NIODeadline
        /// The connections that are not ready.
        var lost: Set<ObjectIdentifier>
    }

    private let endpoint: RedisEndpoint
    private let logger: Logger
    private let outage = Mutex<Outage?>(nil)

    private static let reminderInterval: TimeAmount = .minutes(1)

    init(endpoint: RedisEndpoint, logger: Logger) {
        (self.endpoint, self.logger) = (endpoint, logger)
    }

    /// A connection or an attempt to connect has ended, and another attempt will follow.
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

    /// A connection is not needed any more, because its server is no primary of the cluster any more.
    func left(_ connection: ObjectIdentifier, now: NIODeadline = .now()) {
        guard case .back(let duration)? = note(ready: connection, now: now) else { return }
        logger.notice("Redis at \(endpoint) is gone and not needed any more", metadata: ["seconds": "\(duration.components.seconds)"])
    }

    func note(loss connection: ObjectIdentifier, now: NIODeadline) -> Line? {
        outage.withLock { outage in
            guard var known = outage else {
                outage = Outage(since: now, lastLine: now, lost: [connection])
                return .gone
            }
            known.lost.insert(connection)
            defer { outage = known }
            guard now - known.lastLine >= Self.reminderInterval else { return nil }
            known.lastLine = now
            return .stillGone(for: Duration(now - known.since))
        }
    }

    func note(ready connection: ObjectIdentifier, now: NIODeadline) -> Line? {
        outage.withLock { known in
            guard let since = known?.since else { return nil }
            known?.lost.remove(connection)
            guard known?.lost.isEmpty == true else { return nil }
            known = nil
            return .back(after: Duration(now - since))
        }
    }
}

/// The outage logs of a cluster's nodes, shared by the connections of all loops.
final class RedisOutageLogs: Sendable {
    private let logger: Logger
    private let logs = Mutex<[RedisEndpoint: RedisOutageLog]>([:])

    init(logger: Logger) { self.logger = logger }

    func log(of endpoint: RedisEndpoint) -> RedisOutageLog {
        logs.withLock { logs in
            let log = logs[endpoint] ?? RedisOutageLog(endpoint: endpoint, logger: logger)
            logs[endpoint] = log
            return log
        }
    }
}

extension RedisError {
    /// The message and its causes in one line, for logs.
    package var reason: String {
        guard let cause else { return message }
        return "\(message): \(Self.words(cause))"
    }

    /// A readable text for an error of SwiftNIO, whose own text may be the dump of a structure with other errors inside.
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
        // Without a connection error, the name had neither an IPv4 nor an IPv6 address.
        return "the name \(error.host) is not known"
    }
}
