import Foundation
import TestSupport

/// Instructions outside the kernel, counted by callgrind: a request takes the same number of them on a busy machine and on an idle one.
struct InstructionMeter: Meter {
    private struct Uncounted: Error { let printed: String }

    private let binary: String
    private let folder: String

    static let isInstalled = ["valgrind", "callgrind_control", "strip"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/" + $0)
    }

    init(binary: String, folder: String) async throws {
        self.folder = folder
        // The debug information of a Swift release is more than Debian 12's valgrind can read: it gives up.
        self.binary = folder + "/firstcome"
        let strip = try await Tool.run(program: ["strip", "--strip-debug", "-o", self.binary, binary])
        guard strip.status == 0 else { throw Uncounted(printed: strip.standardError) }
    }

    func wrap(_ command: [String]) -> [String] {
        // Each process would otherwise hash with another seed, and so collide elsewhere.
        ["env", "SWIFT_DETERMINISTIC_HASHING=1", "valgrind", "--tool=callgrind", "--callgrind-out-file=\(folder)/callgrind", binary]
            + command.dropFirst()
    }

    /// "   Th 4  52,220,794", a line for each thread.
    func read(pid: Int32) async throws -> Double {
        let run = try await Tool.run(program: ["callgrind_control", "-e", String(pid)])
        let threads = run.lines.compactMap { line in
            line.firstMatch(of: /^\s+Th \d+\s+([\d,]+)/).flatMap { Double($0.1.filter(\.isNumber)) }
        }
        guard run.status == 0, !threads.isEmpty else { throw Uncounted(printed: run.standardOutput + run.standardError) }
        return threads.reduce(0, +)
    }
}
