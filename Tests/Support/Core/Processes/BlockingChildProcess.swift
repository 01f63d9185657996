import Foundation
import Synchronization

/// A process for code that cannot be async, such as a `deinit`; everything else runs programs by ``ChildProcess``.
///
/// Not Foundation's `Process`: its `run()` lists /proc/self/fd and copies each directory entry as 280 bytes where the kernel wrote 24, so
/// that with more than about 1,350 open files it reads past the end of the list and may crash. It can also miss the end of a child.
final class BlockingChildProcess: Sendable {
    let pid: Int32
    /// The status of waitpid(2), once it has ended.
    private let ending = Mutex<Int32?>(nil)

    /// Starts a program that is found in the usual places. Both ends that it gets are closed here.
    ///
    /// - Parameters:
    ///   - input: what it reads; nil for nothing.
    ///   - errors: whether what it prints on standard error goes to the output too, instead of to ours.
    init(_ words: [String], input: Pipe? = nil, output: Pipe, errors: Bool = true) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input.fileHandleForReading.fileDescriptor, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output.fileHandleForWriting.fileDescriptor, 1)
        if errors { posix_spawn_file_actions_adddup2(&actions, 1, 2) }
        if let closeFrom = Self.closeFrom { _ = closeFrom(&actions, 3) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of Swift's pool block signals, and a program keeps what it is started with.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let arguments = words.map { strdup($0) } + [nil]
        let environment = ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for string in arguments + environment { free(string) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, words[0], &actions, &attributes, arguments, environment)
        guard failure == 0 else { throw POSIXError(POSIXErrorCode(rawValue: failure) ?? .EIO) }
        self.pid = pid
        try input?.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
    }

    private typealias CloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32

    /// `posix_spawn_file_actions_addclosefrom_np`, which glibc declares for GNU sources alone: sockets of other tests are not inherited.
    private static let closeFrom: CloseFrom? = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map {
        unsafeBitCast($0, to: CloseFrom.self)
    }

    /// Waits for its end, which its caller has brought about.
    ///
    /// - Returns: whether it exited with status 0.
    @discardableResult
    func wait() -> Bool {
        ending.withLock { ending in
            if ending == nil {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
                ending = status
            }
            return ending == 0
        }
    }
}
