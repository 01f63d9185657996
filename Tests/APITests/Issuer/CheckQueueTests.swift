import HTTPServer
import NIOCore
import Testing

@testable import API

@Suite("The order in which signatures are checked")
struct CheckQueueTests {
    private typealias Queue = CheckQueue<String>

    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let forger = IPAddress(ipv4: 1)
    private static let other = IPAddress(ipv4: 2)

    private static func limits(waiting: Int = 100, burst: Double = 5) -> CheckLimits {
        CheckLimits(waiting: waiting, suspectFrom: 3, failuresPerSecond: 2, failureBurst: burst)
    }

    /// Makes a source suspect by failed checks, which take their share of the budget.
    private static func fail(_ queue: inout Queue, _ source: IPAddress, _ count: Int, at now: NIODeadline = start) {
        for _ in 0..<count { queue.finished(source, wasSuspect: false, failed: true, at: now) }
    }

    private static func append(_ queue: inout Queue, _ name: String, from source: IPAddress, at now: NIODeadline = start) -> String {
        switch queue.append(name, from: source, at: now) {
        case .waits: "waits"
        case .full(let job): "full \(job)"
        case .displaces(let job): "displaces \(job)"
        }
    }

    private static func next(_ queue: inout Queue, at now: NIODeadline = start) -> String? {
        switch queue.next(at: now) {
        case .check(let job, _, let isSuspect)?: isSuspect ? "suspect \(job)" : job
        case .turnAway(let job)?: "away \(job)"
        case nil: nil
        }
    }

    private static func turnsAway(_ queue: inout Queue, _ source: IPAddress, at now: NIODeadline) -> Bool {
        queue.turnsAway(source, at: now)
    }

    @Test("sources take turns, so that one token waits for one of each other source")
    func turns() {
        var queue = Queue(limits: Self.limits())
        for index in 0..<50 { #expect(Self.append(&queue, "f\(index)", from: Self.forger) == "waits") }
        #expect(Self.append(&queue, "good", from: Self.other) == "waits")
        #expect(Self.append(&queue, "good2", from: Self.other) == "waits")
        #expect((0..<5).map { _ in Self.next(&queue) } == ["f0", "good", "f1", "good2", "f2"])
        #expect(queue.count == 47)
        for _ in 0..<47 { _ = Self.next(&queue) }
        #expect(queue.count == 0 && Self.next(&queue) == nil)
    }

    @Test("a source whose tokens were forged is turned away once all such sources have used up their failed checks")
    func budget() {
        var queue = Queue(limits: Self.limits())
        #expect(!Self.turnsAway(&queue, Self.forger, at: Self.start))
        for index in 0..<20 { _ = Self.append(&queue, "f\(index)", from: Self.forger) }
        // Three failures make it suspect and take three of five.
        for index in 0..<3 {
            #expect(Self.next(&queue) == "f\(index)")
            queue.finished(Self.forger, wasSuspect: false, failed: true, at: Self.start)
        }
        for index in 3..<5 {
            #expect(Self.next(&queue) == "suspect f\(index)")
            queue.finished(Self.forger, wasSuspect: true, failed: true, at: Self.start)
        }
        // The rest waits in vain, and leaves without a check.
        for index in 5..<20 { #expect(Self.next(&queue) == "away f\(index)") }
        #expect(Self.turnsAway(&queue, Self.forger, at: Self.start))
        #expect(!Self.turnsAway(&queue, Self.other, at: Self.start))
        // Half a second later one check is free again.
        let later = Self.start + .milliseconds(500)
        #expect(!Self.turnsAway(&queue, Self.forger, at: later))
        _ = Self.append(&queue, "f20", from: Self.forger, at: later)
        _ = Self.append(&queue, "f21", from: Self.forger, at: later)
        #expect(Self.next(&queue, at: later) == "suspect f20" && Self.next(&queue, at: later) == "away f21")
    }

    @Test("a clean source is checked while forgers have used up everything")
    func cleanSource() {
        var queue = Queue(limits: Self.limits())
        Self.fail(&queue, Self.forger, 30)
        _ = Self.append(&queue, "f", from: Self.forger)
        _ = Self.append(&queue, "good", from: Self.other)
        #expect(Self.next(&queue) == "away f" && Self.next(&queue) == "good")
    }

    @Test("good tokens of a suspect source cost nothing of what forgeries may cost, and clear it")
    func goodOfSuspect() {
        var queue = Queue(limits: Self.limits())
        Self.fail(&queue, Self.forger, 4)
        // One failed check is left; a thousand good ones pass through it.
        for index in 0..<2 {
            _ = Self.append(&queue, "g\(index)", from: Self.forger)
            #expect(Self.next(&queue) == "suspect g\(index)")
            queue.finished(Self.forger, wasSuspect: true, failed: false, at: Self.start)
        }
        _ = Self.append(&queue, "g", from: Self.forger)
        #expect(Self.next(&queue) == "g", "two good tokens leave two failures, which is below three")
    }

    @Test("failures are forgotten, one each second, and after a minute all of them")
    func forgetting() {
        var queue = Queue(limits: Self.limits())
        Self.fail(&queue, Self.forger, 1_000)
        #expect(Self.turnsAway(&queue, Self.forger, at: Self.start))
        let later = Self.start + .seconds(58)
        _ = Self.append(&queue, "f", from: Self.forger, at: later)
        #expect(Self.next(&queue, at: later) == "f")
        var second = Queue(limits: Self.limits())
        Self.fail(&second, Self.forger, 4)
        #expect(
            {
                _ = Self.append(&second, "f", from: Self.forger)
                return Self.next(&second)
            }() == "suspect f")
        #expect(
            {
                _ = Self.append(&second, "f", from: Self.forger, at: Self.start + .seconds(2))
                return Self.next(&second, at: Self.start + .seconds(2))
            }() == "f")
    }

    @Test("a full queue turns tokens away, but a source without any waiting takes the newest place of the one with the most")
    func full() {
        var queue = Queue(limits: Self.limits(waiting: 4))
        for index in 0..<4 { #expect(Self.append(&queue, "f\(index)", from: Self.forger) == "waits") }
        #expect(Self.append(&queue, "f4", from: Self.forger) == "full f4")
        #expect(Self.append(&queue, "good", from: Self.other) == "displaces f3")
        #expect(Self.append(&queue, "good2", from: Self.other) == "full good2")
        #expect(Self.append(&queue, "third", from: IPAddress(ipv4: 3)) == "displaces f2")
        #expect(queue.count == 4)
        #expect((0..<5).map { _ in Self.next(&queue) } == ["f0", "good", "third", "f1", nil])
        var singles = Queue(limits: Self.limits(waiting: 4))
        for index in 0..<4 { _ = Self.append(&singles, "s\(index)", from: IPAddress(ipv4: UInt32(index))) }
        #expect(Self.append(&singles, "late", from: IPAddress(ipv4: 9)) == "full late")
    }

    @Test("ten thousand forgers do not make a suspect of anybody else")
    func manySources() {
        var scores = SourceScores()
        for index in 0..<2_000 { scores.count(IPAddress(ipv4: UInt32(index)), failed: true, at: Self.start) }
        let touched = (0..<1_000).count { scores.failures(of: IPAddress(ipv4: UInt32(0x1_0000 + $0)), at: Self.start) >= 8 }
        #expect(touched == 0)
        for _ in 0..<20 { scores.count(Self.forger, failed: true, at: Self.start) }
        #expect(scores.failures(of: Self.forger, at: Self.start) >= 20)
    }
}
