import Services
import Testing

private let millisecond: Int64 = 1_000_000

@Suite("Standing queues")
struct StandingQueueTests {
    private func queue() -> StandingQueue { StandingQueue(interval: 250 * millisecond, target: 25 * millisecond) }

    /// Work that a queue admits, of a run in which `rate` units of work arrive for each unit that is done.
    private struct Run {
        var queue: StandingQueue
        var now: Int64 = 1_000 * millisecond
        /// The wait of the next arrival, which is also the work that is left.
        var wait: Int64 = 0
        var longestWait: Int64 = 0
        var admitted = 0
        var refused = 0

        /// Lets work of 100 microseconds each arrive, `rate` times as fast as it is done.
        mutating func arrive(for duration: Int64, rate: Double) {
            let work: Int64 = 100_000
            let step = Int64(Double(work) / rate)
            let end = now + duration
            while now < end {
                if queue.admits(wait: wait, at: now) {
                    admitted += 1
                    longestWait = max(longestWait, wait)
                    wait += work
                } else {
                    refused += 1
                }
                now += step
                wait = max(0, wait - step)
            }
        }
    }

    @Test("a queue below its target refuses nothing")
    func calm() {
        var run = Run(queue: queue())
        run.arrive(for: 10_000 * millisecond, rate: 0.99)
        #expect(run.refused == 0 && run.admitted > 90_000)
    }

    @Test("thousands at once are a burst: nothing is refused while it is worked off")
    func burst() {
        var run = Run(queue: queue())
        run.wait = 600 * millisecond
        run.arrive(for: 2_000 * millisecond, rate: 0.6)
        #expect(run.refused == 0)
    }

    @Test("of twice the work that can be done, what can be done is accepted, and waits no longer than the target")
    func overload() {
        var run = Run(queue: queue())
        run.arrive(for: 1_000 * millisecond, rate: 2)
        // What was accepted before the queue stood.
        #expect(run.longestWait <= 300 * millisecond && run.refused > 0)
        (run.admitted, run.refused, run.longestWait) = (0, 0, 0)
        run.arrive(for: 10_000 * millisecond, rate: 2)
        #expect(run.longestWait <= 25 * millisecond)
        #expect((99_000...101_000).contains(run.admitted))
        #expect(run.refused > 95_000)
    }

    @Test("after the overload, a burst is a burst again")
    func recovery() {
        var run = Run(queue: queue())
        run.arrive(for: 1_000 * millisecond, rate: 2)
        #expect(run.queue.isStanding)
        run.arrive(for: 1_000 * millisecond, rate: 0.5)
        #expect(!run.queue.isStanding)
        run.refused = 0
        run.wait = 100 * millisecond
        run.arrive(for: 300 * millisecond, rate: 0.5)
        #expect(run.refused == 0)
    }

    @Test("arrivals that are seldom do not make a queue stand: nobody knows what it was in between")
    func seldom() {
        var queue = queue()
        let refused = (Int64(1)...100).filter { second in !queue.admits(wait: 100 * millisecond, at: second * 1_000 * millisecond) }
        #expect(refused == [])
    }

    @Test("a queue that does not move stands after the interval, and no longer once it moves")
    func blocked() {
        var queue = queue()
        var refused: [Int64] = []
        let waits: [(Int64, at: Int64)] = (0..<25).map { (30 + 10 * $0, at: 10 * $0) } + [(280, at: 250), (30, at: 260), (20, at: 270)]
        for (wait, at) in waits where !queue.admits(wait: wait * millisecond, at: at * millisecond) { refused.append(at) }
        #expect(refused == [250, 260])
    }
}

@Suite("Late event loops")
struct LateLoopTests {
    /// A loop that gets `load` times the work that it can do; refusing costs a tenth of doing. Its lag is measured every 10 ms.
    private struct Run {
        var loop = LateLoop(interval: 250 * millisecond, target: 10 * millisecond)
        var now: Int64 = 1_000 * millisecond
        var lag = 0.0
        var (accepted, refused) = (0, 0)
        var longestLag = 0.0

        mutating func arrive(for steps: Int, load: Double) {
            for _ in 0..<steps {
                now += 10 * millisecond
                let measured = Int64(lag)
                let work = 10 * Double(millisecond) * load / 1_000
                for _ in 0..<1_000 {
                    let admits = loop.admits(lag: measured, measuredAt: now, at: now)
                    if admits { accepted += 1 } else { refused += 1 }
                    lag += admits ? work : work / 10
                }
                lag = max(0, lag - 10 * Double(millisecond))
                longestLag = max(longestLag, lag)
            }
        }
    }

    @Test("a loop that can do its work refuses nothing")
    func calm() {
        var run = Run()
        run.arrive(for: 1_000, load: 0.95)
        #expect(run.refused == 0)
    }

    @Test("of twice the work, about what can be done is accepted, and the loop is hardly later than its target")
    func overload() {
        var run = Run()
        run.arrive(for: 200, load: 2)
        (run.accepted, run.refused, run.longestLag) = (0, 0, 0)
        run.arrive(for: 2_000, load: 2)
        #expect(run.longestLag < 40 * Double(millisecond))
        let share = Double(run.accepted) / Double(run.accepted + run.refused)
        // 0.9 a + 0.1 = 0.5
        #expect((0.35...0.50).contains(share), "\(share)")
    }

    @Test("after the overload nothing is refused")
    func recovery() {
        var run = Run()
        run.arrive(for: 500, load: 2)
        run.arrive(for: 100, load: 0.3)
        run.refused = 0
        run.arrive(for: 500, load: 0.5)
        #expect(run.refused == 0 && run.loop.refusedShare == 0)
    }
}
