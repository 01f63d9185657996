import Services
import Testing

private let second: Int64 = 1_000_000_000

@Suite("Rate limits")
struct RateLimitTests {
    static let rates: [(String, interval: Int64, burst: Int64)] = [
        ("20/s", 50_000_000, 20), ("20/s:40", 50_000_000, 40), ("600/m", 100_000_000, 600), ("600/m:50", 100_000_000, 50),
        ("3600/h:1", second, 1), ("1/s", second, 1), ("10000/s", 100_000, 10_000),
        // A third of a second is no whole number of microseconds: a client gets a little less, never more.
        ("3/s", 333_334_000, 3),
    ]

    @Test("a rate is read as tokens, how often one comes and how many there may be", arguments: rates)
    func reading(_ text: String, interval: Int64, burst: Int64) throws {
        let limit = try #require(RateLimit(text))
        #expect(limit.interval == interval && limit.burst == burst && limit.window == interval * burst)
    }

    @Test(
        "what is no rate is refused",
        arguments: [
            "", "20", "20/", "/s", "20/d", "20/s:", "20/s:0", "0/s", "-1/s", "+1/s", "1.5/s", "20 /s", "20/s:x", "20/s:5:5", "10001/s",
            "1/h:25", "99999999999999999999/s", "1/s:1000001",
        ])
    func garbage(_ text: String) {
        #expect(RateLimit(text) == nil)
    }

    @Test("a level tells how many requests may come, and after how many whole seconds one more")
    func level() throws {
        let limit = try #require(RateLimit(2, per: second, burst: 4))
        let full = limit.level(untilFull: 0, isRefused: false)
        #expect(full.remaining == 4)
        let half = limit.level(untilFull: second, isRefused: false)
        #expect(half.remaining == 2 && half.untilNext == second / 2 && half.secondsUntilNext == 1)
        let nearly = limit.level(untilFull: second + 1, isRefused: false)
        #expect(nearly.remaining == 1 && nearly.untilNext == 1)
        let empty = limit.level(untilFull: 2 * second, isRefused: true)
        #expect(empty.remaining == 0 && empty.untilNext == second / 2)
    }
}

@Suite("Token buckets in memory")
struct TokenBucketTests {
    private let start: Int64 = 5_000 * second

    private func key(_ number: Int) -> TokenBuckets.Key { TokenBuckets.Key(0, UInt64(number)) }

    @Test("a burst is granted, then one request for each interval, and the wait that a refusal names is exact")
    func rate() throws {
        let buckets = TokenBuckets(try #require(RateLimit(20, per: second, burst: 5)))
        for left in (0..<5).reversed() {
            let level = buckets.take(key(1), at: start)
            #expect(!level.isRefused && level.remaining == Int64(left))
        }
        var now = start
        for _ in 0..<100 {
            let refusal = buckets.take(key(1), at: now)
            #expect(refusal.isRefused && refusal.remaining == 0)
            #expect(buckets.take(key(1), at: now + refusal.untilNext - 1).isRefused)
            now += refusal.untilNext
            #expect(!buckets.take(key(1), at: now).isRefused)
        }
        #expect(now - start == 100 * second / 20)
    }

    @Test("a refused request is not charged, and another client is not touched")
    func refusals() throws {
        let buckets = TokenBuckets(try #require(RateLimit(1, per: second)))
        #expect(!buckets.take(key(1), at: start).isRefused)
        for _ in 0..<1_000 { #expect(buckets.take(key(1), at: start).isRefused) }
        #expect(!buckets.take(key(2), at: start).isRefused)
        #expect(!buckets.take(key(1), at: start + second).isRefused)
    }

    @Test("an idle client has a full bucket and no more")
    func idle() throws {
        let buckets = TokenBuckets(try #require(RateLimit(10, per: second, burst: 3)))
        _ = buckets.take(key(1), at: start)
        let later = start + 1_000_000 * second
        #expect((0..<10).filter { _ in !buckets.take(key(1), at: later).isRefused }.count == 3)
    }

    @Test("a clock that stands or goes back gives nothing away")
    func clock() throws {
        let buckets = TokenBuckets(try #require(RateLimit(10, per: second, burst: 2)))
        #expect(!buckets.take(key(1), at: start).isRefused && !buckets.take(key(1), at: start).isRefused)
        #expect(buckets.take(key(1), at: start - second).isRefused)
        #expect(buckets.take(key(1), at: start).isRefused)
    }

    @Test("requests of a burst whose instants were read in another order each get one of its tokens")
    func order() throws {
        let buckets = TokenBuckets(try #require(RateLimit(10, per: second, burst: 5)))
        let levels = [5, 0, 9, 3, 1].map { buckets.take(key(1), at: start + $0) }
        #expect(levels.map(\.remaining) == [4, 3, 2, 1, 0] && !levels.contains(where: \.isRefused))
    }

    @Test("a flood of clients does not give a limited one a fresh bucket, and the table keeps its size")
    func flood() throws {
        let limit = try #require(RateLimit(60, per: 60 * second, burst: 2))
        let buckets = TokenBuckets(limit, capacity: 512)
        #expect(buckets.capacity == 512)
        for _ in 0..<2 { #expect(!buckets.take(key(0), at: start).isRefused) }
        #expect(buckets.take(key(0), at: start).isRefused)
        // Many times as many clients as there are places, all of whose buckets are not full for a second.
        for client in 1...20_000 { _ = buckets.take(key(client), at: start + 1) }
        #expect(buckets.take(key(0), at: start + 2).isRefused)
        // Whatever was remembered for it, it is over when its bucket would have been full.
        #expect(!buckets.take(key(0), at: start + 3 * limit.window).isRefused)
    }

    @Test("buckets that are full again give way without a trace")
    func forgotten() throws {
        let limit = try #require(RateLimit(10, per: second, burst: 2))
        let buckets = TokenBuckets(limit, capacity: 512)
        var now = start
        for client in 0..<20_000 {
            #expect(!buckets.take(key(client), at: now).isRefused && !buckets.take(key(client), at: now).isRefused)
            now += limit.window
        }
    }

    @Test("threads that charge one client together grant exactly what the limit states")
    func threads() async throws {
        let buckets = TokenBuckets(try #require(RateLimit(100, per: second, burst: 1_000)))
        let granted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<1_000).filter { _ in !buckets.take(key(7), at: start).isRefused }.count }
            }
            return await group.reduce(0, +)
        }
        #expect(granted == 1_000)
    }
}
