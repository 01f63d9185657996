import Foundation
import Glibc

extension DataFolder {
    /// Makes the folder, and those above it, where they are missing; for this account alone.
    static func makeFolders(_ path: String) throws(CommandError) {
        var status = stat()
        guard stat(path, &status) != 0 else { return }
        guard errno == ENOENT else { throw cannotBeMade(path, errno) }
        let parent = parentFolder(of: path)
        if parent != path { try makeFolders(parent) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw cannotBeMade(path, errno) }
    }

    private static func cannotBeMade(_ path: String, _ code: CInt) -> CommandError {
        switch code {
        case EACCES:
            CommandError(
                """
                the data folder \(path) cannot be made: the account \(Account.current) may not write above it. Make it as root: \
                install -d -m 0700 -o \(Account.current.name) \(path), or name another one by --data
                """)
        case ENOTDIR: CommandError("the data folder \(path) cannot be made: part of the path is a file; name another one by --data")
        case EROFS: CommandError("the data folder \(path) cannot be made on a read-only file system; name another one by --data")
        case ENOSPC: CommandError("the data folder \(path) cannot be made: the disk is full; free room on it")
        default: CommandError("the data folder \(path) cannot be made: \(systemReason(code)); name another one by --data")
        }
    }

    /// Throws where this account cannot use the folder, or where its files would shut out the account to which the folder belongs.
    func checkAccess() throws(CommandError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw CommandError("the data folder \(path) cannot be used: \(systemReason(errno))") }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandError("the data folder \(path) is a file; name a folder by --data")
        }
        let (owner, account) = (Account(id: status.st_uid), Account.current)
        guard account.id != 0 || owner.id == 0 else {
            throw CommandError(
                """
                the data folder \(path) belongs to the account \(owner), and files that root makes there would shut it out; run this as \
                that account: runuser -u \(owner.name) -- firstcome ...
                """)
        }
        guard access(path, R_OK | W_OK | X_OK) != 0 else { return }
        switch errno {
        case EROFS: throw CommandError("the data folder \(path) is on a read-only file system; name another one by --data")
        case EACCES where owner != account:
            let remedy = owner.id == 0 ? "give it away" : "run this as \(owner.name), or give the folder away"
            throw CommandError(
                """
                the data folder \(path) belongs to the account \(owner), and the account \(account) may not write there; \(remedy) as \
                root: chown -R \(account.name) \(path)
                """)
        case EACCES: throw CommandError("the data folder \(path) cannot be written by its own account; run chmod u+rwx \(path)")
        case let code: throw CommandError("the data folder \(path) cannot be used: \(systemReason(code))")
        }
    }

    /// Throws where a file of the store is there and cannot be read and written, which SQLite reports without a reason.
    func checkStoreAccess() throws(CommandError) {
        for path in [storePath, storePath + "-wal", storePath + "-shm"] {
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            guard status.st_mode & S_IFMT == S_IFREG else { throw CommandError("\(path) is no file; move it away, or name another --data") }
            guard access(path, R_OK | W_OK) != 0 else { continue }
            throw CommandError(Self.reason(errno, for: path, ownedBy: Account(id: status.st_uid)))
        }
    }

    /// Why a file of the folder cannot be read and written, and what to do.
    static func reason(_ code: CInt, for path: String, ownedBy owner: Account) -> String {
        guard code == EACCES else { return "\(path) cannot be used: \(systemReason(code))" }
        let account = Account.current
        guard owner != account else { return "\(path) cannot be read and written by its own account; run chmod u+rw \(path)" }
        return "\(path) belongs to the account \(owner), and the account \(account) may not use it; give it back as root: "
            + "chown \(account.name) \(path)"
    }
}
