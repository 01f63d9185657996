import Testing

@testable import Bench

@Suite("What the load generators print")
struct OutputTests {
    @Test("the line of wrk's script is read whatever wrk prints around it")
    func wrk() throws {
        let output = try #require(
            WrkOutput(
                parsing: """
                    Running 2s test @ http://127.0.0.1:1
                    Requests/sec: 135560.90
                    RESULT requests=275986 microseconds=2035882 p50=245 p99=29595 p999=47596 refused=7 broken=1
                    """))
        #expect((output.requests, output.seconds, output.refused, output.broken) == (275_986, 2.035882, 7, 1))
        #expect((output.p50, output.p99, output.p999) == (245, 29_595, 47_596))
    }

    @Test("generators that ran at the same time count together, for as long as the last one ran, and with the longest latencies")
    func several() throws {
        let outputs = try [
            #require(WrkOutput(parsing: "RESULT requests=10 microseconds=2000000 p50=5 p99=80 p999=90 refused=3 broken=0")),
            #require(WrkOutput(parsing: "RESULT requests=20 microseconds=1000000 p50=7 p99=60 p999=95 refused=0 broken=2")),
        ]
        let output = try #require(WrkOutput(of: outputs))
        #expect((output.requests, output.seconds, output.refused, output.broken) == (30, 2, 3, 2))
        #expect((output.p50, output.p99, output.p999) == (7, 80, 95))
        #expect(WrkOutput(of: []) == nil)
    }

    @Test("generators share connections and requests equally", arguments: [(64, [22, 21, 21]), (63, [21, 21, 21]), (2, [1, 1, 0])])
    func shares(whole: Int, parts: [Int]) {
        #expect((0..<3).map { WrkShare(index: $0, count: 3).of(whole) } == parts)
    }

    @Test("a run of wrk that printed no result is no result", arguments: ["", "RESULT requests=1", "RESULT requests=x microseconds=1"])
    func brokenWrk(text: String) {
        #expect(WrkOutput(parsing: text) == nil)
    }

    @Test("redis-benchmark's line is read by the names of its columns, commas in the command included")
    func redisBenchmark() throws {
        let output = try #require(
            RedisBenchmarkOutput(
                parsing: """
                    "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
                    "EVALSHA a,b 2","625000.00","1.492","0.120","1.447","4.543","5.887","5.927"
                    """))
        #expect((output.perSecond, output.p50, output.p99) == (625_000, 1_447, 5_887))
        #expect(RedisBenchmarkOutput(parsing: "Error from server: NOSCRIPT") == nil)
    }

    @Test("pgbench's end is read with its failures")
    func pgbench() throws {
        let output = try #require(
            PgbenchOutput(
                parsing: """
                    transaction type: TMP/transaction.sql
                    number of transactions actually processed: 12834
                    number of failed transactions: 3 (0.023%)
                    latency average = 2.494 ms
                    tps = 6415.012345 (without initial connection time)
                    """))
        #expect((output.transactions, output.failed, output.perSecond) == (12_834, 3, 6415.012345))
        #expect(PgbenchOutput(parsing: "pgbench: error: connection failed") == nil)
    }

    @Test("percentiles are those of the nearest rank")
    func latencies() {
        var latencies = Latencies()
        #expect(latencies.percentile(50) == nil)
        latencies.add(pgbenchLog: (1...1000).map { "0 \($0) \(1001 - $0) 0 1700000000 1" }.joined(separator: "\n"))
        #expect((latencies.percentile(50), latencies.percentile(99), latencies.percentile(99.9)) == (500, 990, 999))
    }
}
