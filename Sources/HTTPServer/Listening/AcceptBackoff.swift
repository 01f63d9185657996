import Logging
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Pauses accepting when descriptors or memory for another connection are short. Add it to the listening channel.
///
/// A connection that is not accepted stays in the backlog and keeps the listening socket readable, so trying again at once would fail at
/// once, and keep the loop busy until a connection is closed. The pauses double while nothing is accepted.
///
/// Connections leave some descriptors free: libdispatch ends the process when it cannot open a file of its own, and the rest of the
/// service needs some as well.
final class AcceptBackoff: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private static let shortestPause = TimeAmount.milliseconds(100)
    private static let longestPause = TimeAmount.seconds(1)
    /// Failures closer together than this belong to one shortage, which is logged once.
    private static let shortageGap = TimeAmount.seconds(10)

    /// Descriptors below the limit that are left free. One read of the listening socket accepts up to 16 connections.
    private let descriptorsKeptFree: Int
    private let logger: Logger
    private let countFailure: @Sendable () -> Void
    /// Duplicated to learn the lowest free descriptor; negative where it could not be opened.
    private let probe = open("/dev/null", O_RDONLY | O_CLOEXEC)
    private var pause = AcceptBackoff.shortestPause
    private var lastFailure: NIODeadline?
    private var resumption: Scheduled<Void>?

    /// - Parameter countFailure: is called for each connection that could not be accepted.
    init(keepingFree descriptorsKeptFree: Int, logger: Logger, countFailure: @escaping @Sendable () -> Void) {
        self.descriptorsKeptFree = descriptorsKeptFree
        self.logger = logger
        self.countFailure = countFailure
    }

    deinit {
        if probe >= 0 { close(probe) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard areDescriptorsShort else {
            pause = AcceptBackoff.shortestPause
            context.fireChannelRead(data)
            return
        }
        unwrapInboundIn(data).close(promise: nil)
        backOff(context, EMFILE)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else {
            context.fireErrorCaught(error)
            return
        }
        backOff(context, error.errnoCode)
    }

    func channelInactive(context: ChannelHandlerContext) {
        resumption?.cancel()
        resumption = nil
        context.fireChannelInactive()
    }

    /// The kernel gives out the lowest free number, so a duplicate's number says how many are taken.
    private var areDescriptorsShort: Bool {
        var limit = rlimit()
        guard probe >= 0, getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        let next = fcntl(probe, F_DUPFD_CLOEXEC, 0)
        guard next >= 0 else { return true }
        close(next)
        return Int(next) + descriptorsKeptFree > Int(clamping: limit.rlim_cur)
    }

    private func backOff(_ context: ChannelHandlerContext, _ code: CInt) {
        countFailure()
        let now = NIODeadline.now()
        let isNews = lastFailure.map { now - $0 > AcceptBackoff.shortageGap } ?? true
        lastFailure = now
        if isNews {
            logger.warning(
                "cannot accept connections, trying again until it succeeds", metadata: ["error": "\(String(cString: strerror(code)))"])
        }
        guard resumption == nil else { return }
        // Both calls take effect at once on the channel's loop; they fail only on a closed channel, which reads nothing anyway.
        let channel = context.channel
        _ = channel.setOption(.autoRead, value: false)
        resumption = context.eventLoop.assumeIsolated().scheduleTask(in: pause) {
            self.resumption = nil
            _ = channel.setOption(.autoRead, value: true)
        }
        pause = min(pause * 2, AcceptBackoff.longestPause)
    }
}
