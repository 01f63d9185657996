#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The end of a wait, by the kernel's monotonic clock.
struct Deadline: Comparable {
    private let nanoseconds: UInt64

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// A deadline that far from now; one that has passed for a negative time.
    init(in time: Duration) {
        let (seconds, attoseconds) = time.components
        let total = max(0, seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let ahead = total.overflow ? UInt64.max / 2 : UInt64(total.partialValue) + UInt64(max(0, attoseconds) / 1_000_000_000)
        self.init(nanoseconds: Self.now &+ min(ahead, UInt64.max / 2))
    }

    static func < (one: Deadline, other: Deadline) -> Bool { one.nanoseconds < other.nanoseconds }

    /// Nanoseconds since the machine's start.
    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// What remains, rounded up so that no wait ends too early; 0 after the end.
    var milliseconds: Int32 {
        let now = Self.now
        return nanoseconds <= now ? 0 : Int32(clamping: (nanoseconds - now + 999_999) / 1_000_000)
    }

    var hasPassed: Bool { nanoseconds <= Self.now }

    enum Readiness { case readable, writable, both }

    /// Waits until the socket is ready or has an error, which the next operation on it then reports.
    ///
    /// - Returns: whether it is ready before the deadline.
    func wait(for readiness: Readiness, on socket: Int32) -> Bool {
        let events =
            switch readiness {
            case .readable: POLLIN
            case .writable: POLLOUT
            case .both: POLLIN | POLLOUT
            }
        var poll = pollfd(fd: socket, events: Int16(events), revents: 0)
        while true {
            let ready = Self.poll(&poll, milliseconds)
            if ready > 0 { return true }
            // A signal may interrupt the wait. Every other failure is the socket's, which its next operation reports.
            if ready < 0 && errno != EINTR { return true }
            if ready == 0 && hasPassed { return false }
        }
    }

    private static func poll(_ descriptor: inout pollfd, _ milliseconds: Int32) -> Int32 {
        #if canImport(Glibc)
        Glibc.poll(&descriptor, 1, milliseconds)
        #else
        Musl.poll(&descriptor, 1, milliseconds)
        #endif
    }
}

extension Duration {
    /// Rounded down.
    var wholeMilliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
