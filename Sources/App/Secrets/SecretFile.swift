import Glibc
package import Logging

/// A secret in a file: the whole content without one line end after it.
package enum SecretFile {
    /// More is taken for a mistaken file.
    static let longest = 4_096

    /// Reads the secret.
    ///
    /// A link is followed, and a pipe is read to its end: containers mount secrets as links, and shells hand them over as pipes.
    /// A file that other accounts can read or change is used, and the log warns: containers mount secrets so.
    ///
    /// - Parameter flag: the flag that names the file, for messages.
    /// - Throws: where the file cannot be read, is empty or is too long. The message never repeats its content.
    package static func read(_ path: String, flag: String, logger: Logger) throws(CommandError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw CommandError("\(flag) \(path): \(reason(errno, path))") }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw CommandError("\(flag) \(path): \(systemReason(errno))") }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw CommandError("\(flag) \(path): it is a folder, not a file with a secret") }
        let secret = withoutLineEnd(try content(of: file, "\(flag) \(path)"))
        guard !secret.isEmpty else { throw CommandError("\(flag) \(path): the file is empty; write the secret into it") }
        if status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o007 != 0 {
            logger.warning("every account of this machine can use the file of a secret; run chmod o= on it", metadata: ["path": "\(path)"])
        }
        return secret
    }

    private static func reason(_ code: CInt, _ path: String) -> String {
        switch code {
        case ENOENT: "there is no such file"
        case EACCES: "the account \(Account.current) may not read it; let it read the file, and enter the folders above it"
        default: systemReason(code)
        }
    }

    private static func content(of file: CInt, _ name: String) throws(CommandError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: longest + 1)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress?.advanced(by: length), $0.count - length) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CommandError("\(name): \(systemReason(errno))") }
            if count == 0 { return Array(bytes[..<length]) }
            length += count
        }
        throw CommandError("\(name): a secret has at most \(longest) bytes, and this file has more")
    }

    private static func withoutLineEnd(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.suffix(2) == Array("\r\n".utf8) { return bytes.dropLast(2) }
        return bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes
    }

    /// The file of a credential that systemd's `LoadCredential=` has given to this service; nil where there is none.
    package static func ofCredential(_ name: String, environment: [String: String]) -> String? {
        guard let folder = environment["CREDENTIALS_DIRECTORY"], !folder.isEmpty else { return nil }
        let path = "\(folder)/\(name)"
        return access(path, F_OK) == 0 ? path : nil
    }
}
