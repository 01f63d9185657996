import Foundation
import Glibc

/// Shows progress as one line that is overwritten; shows nothing where standard error is no terminal.
struct TerminalProgress: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    func show(_ text: String) { write("\r\u{1B}[2K\(text)") }

    /// Clears the line.
    func end() { write("\r\u{1B}[2K") }

    private func write(_ text: String) {
        if isTerminal { FileHandle.standardError.write(Data(text.utf8)) }
    }
}
