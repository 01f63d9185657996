import Foundation
import Glibc
package import Logging
package import Redis
package import Services

/// The folder with all files of one service: the store, the token key and the private Redis.
package struct DataFolder: Sendable {
    package let path: String

    package var storePath: String { path + "/store.sqlite" }

    /// A folder that need not be there.
    package init(path: String) { self.path = path }

    /// Opens the folder, making it where it is missing.
    package static func make(_ path: String) throws -> DataFolder {
        try makeFolders(path)
        let folder = DataFolder(path: path)
        try folder.checkAccess()
        return folder
    }

    /// Opens a folder that a service has used before.
    package static func existing(_ path: String) throws -> DataFolder {
        let folder = DataFolder(path: path)
        if FileManager.default.fileExists(atPath: path) { try folder.checkAccess() }
        guard FileManager.default.fileExists(atPath: folder.storePath) else {
            throw CommandError("there is no store in the data folder \(path); `firstcome serve` or `firstcome demo` makes one")
        }
        return folder
    }

    /// Opens a folder that a service has used for its private Redis before; its store may be elsewhere.
    package static func withPrivateRedis(_ path: String) throws -> DataFolder {
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandError("there is no data folder \(path) with a private Redis; name the Redis by --redis, or the folder by --data")
        }
        let folder = DataFolder(path: path)
        try folder.checkAccess()
        return folder
    }

    /// Locks the folder against other commands that write to it. The lock ends with the returned object, or with the process.
    package func lock() throws -> DataFolderLock {
        let descriptor = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw lockFailure(errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw CommandError("the data folder \(path) is in use by another firstcome; stop that one first")
        }
        return DataFolderLock(descriptor: descriptor)
    }

    private func lockFailure(_ code: CInt) -> CommandError {
        var status = stat()
        if code == EACCES, stat(path + "/lock", &status) == 0 {
            return CommandError(Self.reason(code, for: path + "/lock", ownedBy: Account(id: status.st_uid)))
        }
        let reason = code == ENOSPC || code == EDQUOT ? "the disk is full; free room on it" : systemReason(code)
        return CommandError("the data folder \(path) cannot be locked: \(reason)")
    }

    /// Removes the permissions of other accounts from the store's files, which files of earlier versions and copies may have.
    package func closeStoreToOthers(logger: Logger) throws {
        for path in ["", "-wal", "-shm"].map({ storePath + $0 }) {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 != 0 else { continue }
            guard chmod(path, status.st_mode & 0o700) == 0 else {
                throw CommandError("\(path) can be used by other accounts, and its mode cannot be set: \(String(cString: strerror(errno)))")
            }
            logger.warning("other accounts could use a file of the store, and no longer can", metadata: ["path": "\(path)"])
        }
    }

    /// The Redis that the folder's service used last.
    package enum LastRedis: Sendable, Equatable {
        /// The private one of the folder.
        case own
        /// One that was given by `--redis`: its URL without the password.
        case given(String)
    }

    private var lastRedisPath: String { path + "/last-redis" }

    /// The Redis that the folder's service used last; nil where the folder does not say so.
    package var lastRedis: LastRedis? {
        guard let text = try? String(contentsOfFile: lastRedisPath, encoding: .utf8) else { return nil }
        let line = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return line.isEmpty ? nil : line == "private" ? .own : .given(line)
    }

    /// Notes which Redis the folder's service uses, so that commands without `--redis` do not use the wrong one.
    package func note(lastRedis endpoint: RedisEndpoint?) throws {
        let line = endpoint?.description ?? "private"
        guard lastRedis != (endpoint == nil ? .own : .given(line)) else { return }
        do {
            try Data((line + "\n").utf8).write(to: URL(fileURLWithPath: lastRedisPath), options: .atomic)
        } catch {
            throw CommandError("\(lastRedisPath) cannot be written: \(error.inOneLine)")
        }
    }

    /// The Redis that belongs to the folder.
    package func privateRedis() throws -> PrivateRedis { try PrivateRedis(dataFolder: path) }
}

/// An advisory lock on a data folder.
package final class DataFolderLock: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}
