import Foundation
import TestSupport

/// Instructions outside the kernel of the threads that serve requests, counted by callgrind. Threads of Dispatch are left out: Swift's
/// pool runs the background work on them, and how often its timers fire during a request depends on the machine.
struct InstructionMeter: Meter {
    private let folder: String
    private var pid: Int32 = 0
    /// The threads that serve requests, by callgrind's numbers.
    private var threads: Set<Int> = []

    init(folder: String) { self.folder = folder }

    /// Environment variables that make the count the same on every processor and in every run.
    private static let environment = [
        // Otherwise each process hashes with another seed, and has other collisions.
        "SWIFT_DETERMINISTIC_HASHING=1",
        // Makes libc use its routines for every x86-64, without extensions of the processor.
        "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-AVX512VL,-AVX512BW,-BMI2,-ERMS,-FSRM,-SSE4_2,-SSE4_1,-SSSE3",
    ]

    func wrap(_ command: [String]) -> [String] {
        ["env"] + Self.environment
            + ["valgrind", "--tool=callgrind", "--num-callers=100", "--callgrind-out-file=\(folder)/callgrind"] + command
    }

    /// Copies the program without its debug information, which Debian 12's valgrind cannot read.
    static func stripped(_ program: String, in folder: String) async throws -> String {
        let copy = folder + "/" + (program.split(separator: "/").last ?? "program")
        let strip = try await Tool.run(program: ["strip", "--strip-debug", "-o", copy, program])
        guard strip.status == 0 else { throw CostFailure("strip failed: \(strip.standardError)") }
        return copy
    }

    mutating func attach(to pid: Int32) async throws {
        self.pid = pid
        threads = Self.requestThreads(in: try await ask("v.info scheduler"))
        guard !threads.isEmpty else { throw CostFailure("callgrind names no thread of process \(pid)") }
    }

    func read() async throws -> Double {
        let counts = Self.counts(in: try await ask("status internal"))
        guard threads.isSubset(of: counts.keys) else { throw CostFailure("a thread that served requests has ended") }
        return threads.reduce(0) { $0 + (counts[$1] ?? 0) }
    }

    private func ask(_ question: String) async throws -> String {
        let answer = try await Tool.run(program: ["vgdb", "--pid=\(pid)"] + question.split(separator: " ").map(String.init))
        // vgdb wakes a server that waits in a system call through ptrace, and on a busy machine leaves it stopped now and then.
        kill(pid, SIGCONT)
        guard answer.status == 0 else { throw CostFailure("vgdb failed: \(answer.standardError)") }
        return answer.standardOutput
    }
}

// MARK: - What valgrind prints

extension InstructionMeter {
    /// Reads lines such as "Thread 6: status = VgTs_WaitSys syscall 232 (lwpid 5136)", each followed by the thread's stack.
    static func requestThreads(in text: String) -> Set<Int> {
        var threads: Set<Int> = []
        var current: Int?
        for line in text.split(separator: "\n") {
            if let match = line.firstMatch(of: /^Thread (\d+): status/) {
                current = Int(match.1)
                if let current { threads.insert(current) }
            } else if line.contains(/: _dispatch_(worker|mgr|sig)_thread/), let current {
                threads.remove(current)
            }
        }
        return threads
    }

    /// Reads lines such as "events-6: 54730639", one for each thread.
    static func counts(in text: String) -> [Int: Double] {
        var counts: [Int: Double] = [:]
        for match in text.matches(of: /(?m)^events-(\d+): (\d+)$/) {
            if let thread = Int(match.1), let count = Double(match.2) { counts[thread] = count }
        }
        return counts
    }
}
