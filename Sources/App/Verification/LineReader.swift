import Glibc

/// Reads the lines of a file, or of standard input for `-`, in pieces of bounded size.
package struct LineReader: ~Copyable {
    private let file: CInt
    private let name: String

    private static let pieceSize = 65_536
    /// No line of a list of wins comes near it.
    private static let longestLine = 4_096

    package init(path: String) throws(CommandError) {
        name = path
        file = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        if file < 0 { throw CommandError("\(path): \(systemReason(errno))") }
    }

    deinit { if file != STDIN_FILENO, file >= 0 { close(file) } }

    /// Calls the body with each line, without its line end (LF, or CR and LF).
    package func forEach(_ body: (Substring) throws(CommandError) -> Void) throws(CommandError) {
        var piece = [UInt8](repeating: 0, count: Self.pieceSize)
        var rest: [UInt8] = []
        while true {
            let count = piece.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandError("\(name): \(systemReason(errno))")
            }
            if count == 0 { break }
            var start = 0
            for index in 0..<count where piece[index] == UInt8(ascii: "\n") {
                rest += piece[start..<index]
                try body(Self.text(rest))
                rest.removeAll(keepingCapacity: true)
                start = index + 1
            }
            rest += piece[start..<count]
            guard rest.count <= Self.longestLine else { throw CommandError("\(name): it is no list of wins: a line is too long") }
        }
        if !rest.isEmpty { try body(Self.text(rest)) }
    }

    private static func text(_ bytes: [UInt8]) -> Substring {
        Substring(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes[...], as: UTF8.self)
    }
}
