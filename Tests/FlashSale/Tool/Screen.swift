import Foundation
import Synchronization

/// Standard output: lines that stay, and on a terminal a block below them that is drawn again in its place.
///
/// No line may be wider than the terminal, because a wrapped line would take two: they have at most 78 columns.
final class Screen: Sendable {
    /// Whether the block is drawn in place. In a file or a pipe, the first line of it is written from time to time instead.
    let isTerminal: Bool
    /// The state of the block: how many lines it has now, and when a line was last written for it in a file or a pipe.
    private let block = Mutex((lines: 0, written: ContinuousClock.now - .seconds(60)))

    init() { isTerminal = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] ?? "dumb" != "dumb" }

    /// Writes a line that stays, above the block, which is gone until it is drawn again.
    func line(_ text: String = "") {
        block.withLock { block in
            write(erased(block.lines) + text + "\n")
            block.lines = 0
        }
    }

    /// Draws the block.
    ///
    /// - Parameter interval: how long nothing is written after a line where there is no terminal.
    func draw(_ lines: [String], every interval: Duration = .seconds(2)) {
        block.withLock { block in
            if isTerminal {
                write(erased(block.lines) + lines.map { $0 + "\n" }.joined())
                block.lines = lines.count
            } else if let first = lines.first, block.written.duration(to: .now) >= interval {
                write(first + "\n")
                block.written = .now
            }
        }
    }

    /// Leaves the block as it is and goes on below it.
    func leaveBlock() { block.withLock { $0 = (0, ContinuousClock.now - .seconds(60)) } }

    /// What moves to the first of the last lines and clears from there on.
    private func erased(_ lines: Int) -> String { lines == 0 ? "" : "\u{1B}[\(lines)A\r\u{1B}[J" }

    private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
