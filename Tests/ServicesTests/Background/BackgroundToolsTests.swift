import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Background tools")
struct BackgroundToolsTests {
    @Test(
        "pauses double with each failure up to the longest, and half of each is random",
        arguments: [(0, 500), (1, 500), (2, 1_000), (3, 2_000), (10, 256_000), (12, 600_000), (20, 600_000), (.max, 600_000)]
            as [(Int64, Int64)])
    func backoff(failures: Int64, longest: Int64) {
        let backoff = Backoff(firstMilliseconds: 500, longestMilliseconds: 600_000)
        let pauses = (0..<200).map { _ in backoff.milliseconds(afterFailures: failures) }
        #expect(pauses.allSatisfy { (longest / 2...longest).contains($0) })
        #expect(Set(pauses).count > 1)
    }

    @Test("a pause never overflows")
    func backoffOverflow() {
        let backoff = Backoff(firstMilliseconds: .max / 2, longestMilliseconds: .max)
        #expect(backoff.milliseconds(afterFailures: 40) >= .max / 2 - 1)
        #expect(Backoff(firstMilliseconds: 0, longestMilliseconds: 0).milliseconds(afterFailures: 3) == 0)
    }

    @Test("work runs one piece after the other, also behind a piece that fails")
    func taskQueue() async throws {
        struct Failed: Error {}
        let queue = TaskQueue()
        let log = Log()
        await withTaskGroup { group in
            for index in 0..<50 {
                group.addTask {
                    let result = await Task {
                        try await queue.run {
                            log.note("begin \(index)")
                            await Task.yield()
                            log.note("end \(index)")
                            if index.isMultiple(of: 7) { throw Failed() }
                        }
                    }.result
                    #expect(index.isMultiple(of: 7) == ((try? result.get()) == nil))
                }
            }
        }
        let lines = log.lines
        #expect(lines.count == 100)
        for pair in stride(from: 0, to: lines.count - 1, by: 2) {
            #expect(lines[pair].hasPrefix("begin") && lines[pair + 1] == lines[pair].replacing("begin", with: "end"))
        }
    }

    @Test("a piece that is called after another has begun waits for its end")
    func taskQueueOrder() async throws {
        let queue = TaskQueue()
        let log = Log()
        let (begun, beginning) = AsyncStream<Void>.makeStream()
        let (released, releasing) = AsyncStream<Void>.makeStream()
        let first = Task {
            try await queue.run {
                beginning.finish()
                for await _ in released {}
                log.note("first")
            }
        }
        for await _ in begun {}
        let second = Task { try await queue.run { log.note("second") } }
        for _ in 0..<20 { await Task.yield() }
        #expect(log.lines.isEmpty)
        releasing.finish()
        try await first.value
        try await second.value
        #expect(log.lines == ["first", "second"])
    }

    @Test("a step goes on after failures until it is cancelled")
    func periodic() async throws {
        struct Failed: Error {}
        let log = Log()
        let task = Task {
            await BackgroundWork.every(.milliseconds(1), "test", logger: Shop.logger) {
                log.note("step")
                if log.lines.count < 3 { throw Failed() }
            }
        }
        try await eventually("it has recovered and goes on") { log.lines.count > 10 }
        task.cancel()
        await task.value
        let end = log.lines.count
        for _ in 0..<20 { await Task.yield() }
        #expect(log.lines.count == end)
    }
}

/// What happened, in order.
private final class Log: Sendable {
    private let state = Mutex<[String]>([])

    var lines: [String] { state.withLock { $0 } }
    func note(_ line: String) { state.withLock { $0.append(line) } }
}
