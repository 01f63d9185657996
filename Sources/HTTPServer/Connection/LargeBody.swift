import NIOCore

/// Whether a request may have a body beyond ``HTTPLimits/maximumBodyBytes``.
package enum LargeBodyDecision: Sendable {
    case admitted(LargeBodyPermit)
    case refused(HTTPRefusal)
}

/// Decides about a request whose body is longer than the ordinary limit, before the rest of the body is read: where its declared length is
/// longer, or where a body in chunks grows beyond the limit. Called on the loop of the connection.
///
/// - Parameters:
///   - request: the request without its body.
///   - length: the declared length; nil for a body in chunks.
package typealias LargeBodyGate = @Sendable (_ request: HTTPRequest, _ length: Int?) -> LargeBodyDecision

/// The right of one request to a large body. It lasts as long as the request is kept, and with it the body's memory.
package final class LargeBodyPermit: Sendable {
    /// Bytes that the body may have.
    package let maximumBytes: Int
    private let returned: @Sendable () -> Void

    /// - Parameter returned: called once, when the request is not kept any more.
    package init(maximumBytes: Int, returned: @escaping @Sendable () -> Void) {
        (self.maximumBytes, self.returned) = (maximumBytes, returned)
    }

    deinit { returned() }
}

/// A large body that is arriving.
struct LargeBody: Equatable {
    let maximumBytes: Int
    /// Bytes that had arrived when the body's time limit last restarted.
    var countedBytes = 0

    /// Bytes that must arrive within the body's time limit to restart it. With fewer, a client could hold its part of the budget for hours.
    static let leastProgress = 1024 * 1024

    /// Whether so many bytes restart the time limit.
    mutating func progresses(to byteCount: Int) -> Bool {
        guard byteCount - countedBytes >= Self.leastProgress else { return false }
        countedBytes = byteCount
        return true
    }
}
