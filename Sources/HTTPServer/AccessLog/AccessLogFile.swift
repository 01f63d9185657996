#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The open destination of the access log.
final class AccessLogFile: Sendable {
    enum Outcome: Equatable {
        case written(Int)
        /// A pipe or a terminal has no room now.
        case blocked
        case failed(String)
    }

    private let descriptor: CInt
    /// Whether a write never waits for a reader.
    private let isRegular: Bool
    private let isOwned: Bool

    /// Bytes that a pipe takes without waiting where `poll` says that it is writable (POSIX: PIPE_BUF).
    private static let pipeBytes = 4_096

    /// Opens the destination for appending.
    init(_ destination: AccessLog.Destination) throws {
        switch destination {
        case .standardOutput:
            (descriptor, isOwned) = (STDOUT_FILENO, false)
        case .file(let path):
            // Without O_NONBLOCK, opening a FIFO would wait for a reader. A log names users, so others may not read it.
            descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o640)
            isOwned = true
            guard descriptor >= 0 else {
                let reason = errno == ENXIO ? "no process reads from the FIFO" : String(cString: strerror(errno))
                throw AccessLogError(description: "cannot open the access log \(path): \(reason)")
            }
        }
        var status = stat()
        isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        if isRegular, case .file(let path) = destination { endLastLine(path, size: Int(status.st_size)) }
    }

    deinit {
        if isOwned { close(descriptor) }
    }

    /// Ends a line that a full disk has cut off, so that the next line begins by itself.
    private func endLastLine(_ path: String, size: Int) {
        guard size > 0 else { return }
        let reader = open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return }
        defer { close(reader) }
        var last: UInt8 = 0
        if pread(reader, &last, 1, off_t(size - 1)) == 1, last != UInt8(ascii: "\n") {
            // Where this fails, the first line is joined to what was cut off.
            _ = put("\n", 1)
        }
    }

    /// The system call, which a method of this type hides.
    private func put(_ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
        #if canImport(Glibc)
        Glibc.write(descriptor, bytes, count)
        #elseif canImport(Musl)
        Musl.write(descriptor, bytes, count)
        #elseif canImport(Darwin)
        Darwin.write(descriptor, bytes, count)
        #endif
    }

    /// Writes some of the bytes. A destination that is no regular file is waited for at most as long as given.
    func write(_ bytes: UnsafeRawBufferPointer, pollMilliseconds: Int32) -> Outcome {
        var count = bytes.count
        if !isRegular {
            count = min(count, Self.pipeBytes)
            var target = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&target, 1, pollMilliseconds)
            guard ready != 0 else { return .blocked }
        }
        let written = put(bytes.baseAddress, count)
        if written >= 0 { return .written(written) }
        switch errno {
        case EINTR: return .written(0)
        case EAGAIN: return .blocked
        default: return .failed(String(cString: strerror(errno)))
        }
    }
}
