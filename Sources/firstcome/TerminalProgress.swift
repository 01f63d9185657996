import Foundation
import Glibc

/// One line on the terminal that is written over again and again; nothing where standard error is no terminal.
struct TerminalProgress: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    func show(_ text: String) { write("\r\u{1B}[2K\(text)") }

    func end() { write("\r\u{1B}[2K") }

    private func write(_ text: String) {
        if isTerminal { FileHandle.standardError.write(Data(text.utf8)) }
    }
}
