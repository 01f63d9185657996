import Glibc
package import Logging

/// The service manager (systemd) that has started this process and wants to hear how it is, see sd_notify(3).
///
/// It is told by datagrams to the socket that `NOTIFY_SOCKET` names. The protocol is a stable interface, so no library is needed.
package struct ServiceManager: Sendable {
    private let socketPath: String
    /// How long the manager waits for a sign of life before it takes the service for hung, in microseconds; nil where it does not wait.
    package let watchdogMicroseconds: Int64?
    private let logger: Logger

    /// Nil where no manager wants to hear.
    package init?(environment: [String: String], processID: Int32 = getpid(), logger: Logger) {
        guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
        (socketPath, self.logger) = (path, logger)
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        watchdogMicroseconds = isForUs ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap { $0 > 0 ? $0 : nil } : nil
    }

    /// The service listens. A status is one line that `systemctl status` shows.
    package func announceReady(status: String) { tell("READY=1\nSTATUS=\(status)", "that the service is ready") }

    /// The service begins to end, and takes up to that long.
    package func announceStop(takingUpTo duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        tell("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=\(microseconds)", "that the service stops")
    }

    /// The service begins to reread its files; ``announceReady(status:)`` says that it has done so.
    package func announceReload() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let microseconds = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
        tell("RELOADING=1\nMONOTONIC_USEC=\(microseconds)", "that the service rereads its files")
    }

    /// The service is alive.
    package func announceLife() { tell("WATCHDOG=1", "that the service is alive") }

    private func tell(_ message: String, _ meaning: String) {
        let error = send(message)
        guard error != 0 else { return }
        logger.warning("the service manager could not be told \(meaning)", metadata: ["error": "\(systemReason(error))"])
    }

    /// - Returns: 0, or an `errno`.
    private func send(_ message: String) -> CInt {
        var path = Array(socketPath.utf8)
        // A name that begins with @ is of the abstract namespace: its first byte is NUL, and the rest has no final NUL (unix(7)).
        if path.first == UInt8(ascii: "@") { path[0] = 0 }
        var address = sockaddr_un()
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return ENAMETOOLONG }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let length = MemoryLayout<sockaddr_un>.offset(of: \.sun_path).map { $0 + path.count } ?? 0
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
        return sent == bytes.count ? 0 : errno
    }
}
