#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why the key file of a data folder cannot be used; the message names the file and never its content.
package struct TokenKeyError: Error, CustomStringConvertible {
    /// The kinds of error, which need different actions of an operator.
    package enum Code: Sendable, Hashable {
        /// Other accounts of the machine may read or write the file.
        case exposed
        /// The file belongs to another account, which knows the key or can change it.
        case foreign
        /// The file is not a regular file of 32 bytes.
        case malformed
        /// The system refused to read or make it.
        case inaccessible
        /// There are too many former keys that are still valid.
        case tooMany
    }

    package let code: Code
    package let message: String

    package var description: String { message }
}

extension TokenKey {
    /// The name of the key file in a data folder.
    package static let fileName = "token.key"

    /// Reads the key of a data folder, which must exist; makes the key first where there is none.
    ///
    /// Two processes that make it at once end with the same key: a finished file appears under its name in one step, or not at all.
    package static func load(fromDataFolder folder: String) throws(TokenKeyError) -> TokenKey {
        TokenKey(bytes: try bytes(inDataFolder: folder))
    }

    static func bytes(inDataFolder folder: String) throws(TokenKeyError) -> [UInt8] {
        let path = folder + "/" + fileName
        if let bytes = try read(path) { return bytes }
        try make(path, in: folder)
        guard let bytes = try read(path) else {
            throw TokenKeyError(code: .inaccessible, message: "\(path) vanished while it was being made.")
        }
        return bytes
    }

    /// `nil` when there is no such file.
    static func read(_ path: String) throws(TokenKeyError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        if file < 0, errno == ENOENT { return nil }
        if file < 0, errno == ELOOP {
            throw TokenKeyError(code: .inaccessible, message: "\(path) is a symbolic link; put the key itself there.")
        }
        guard file >= 0 else { throw systemError("cannot be opened", path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw systemError("cannot be examined", path) }
        if let fault = fault(of: status, at: path) { throw fault }
        var bytes = [UInt8](repeating: 0, count: length)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        guard count == length else { throw systemError("cannot be read", path) }
        return bytes
    }

    /// Why a file with this status is not used as a key; `nil` for a good one.
    ///
    /// - Parameter account: the user id that the process acts as.
    static func fault(of status: stat, at path: String, account: uid_t = geteuid()) -> TokenKeyError? {
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size == off_t(length) else {
            return TokenKeyError(
                code: .malformed,
                message: "\(path) is not a key of \(length) bytes; put the key there, or remove the file to begin with a new one.")
        }
        // Root can read and replace any file anyway, and is who may provide one.
        guard status.st_uid == account || status.st_uid == 0 else {
            return TokenKeyError(
                code: .foreign,
                message: "\(path) belongs to user id \(status.st_uid); it must belong to user id \(account), which runs this, or to root.")
        }
        guard status.st_mode & 0o077 == 0 else {
            return TokenKeyError(code: .exposed, message: "\(path) can be used by other accounts; its mode must be 0600.")
        }
        return nil
    }

    private static func make(_ path: String, in folder: String) throws(TokenKeyError) {
        // Unlike rename, link never replaces a key that another process finished first.
        try withNewKey(for: path, in: folder) { link($0, path) == 0 || errno == EEXIST }
    }

    /// Writes a new key to a temporary file and has `place` put it under its name.
    static func withNewKey(for path: String, in folder: String, place: (String) -> Bool) throws(TokenKeyError) {
        let temporary = path + ".\(getpid()).\(UInt64.random(in: 0...UInt64.max))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw systemError("cannot be made", path) }
        defer {
            close(file)
            unlink(temporary)
        }
        let bytes = newBytes()
        let count = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        guard count == length, fsync(file) == 0 else { throw systemError("cannot be written", path) }
        guard place(temporary) else { throw systemError("cannot be made", path) }
        try syncFolder(folder, path)
    }

    /// Makes the new name durable. If a power cut lost the key, every token signed with it would become invalid.
    private static func syncFolder(_ folder: String, _ path: String) throws(TokenKeyError) {
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw systemError("cannot be made durable", path) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw systemError("cannot be made durable", path) }
    }

    static func systemError(_ what: String, _ path: String) -> TokenKeyError {
        let reason = errno == ENOSPC || errno == EDQUOT ? "the disk is full; free room on it" : String(cString: strerror(errno))
        return TokenKeyError(code: .inaccessible, message: "\(path) \(what): \(reason).")
    }
}
