import Testing

@testable import Bench

@Suite("The service's own numbers")
struct ServiceMetricsTests {
    @Test("answers are counted by class for one route alone, and only those since the last look")
    func statuses() {
        let before = metrics(won: 5, refused: 7).statuses(method: "POST", route: "/claims")
        let after = metrics(won: 5, refused: 17).statuses(method: "POST", route: "/claims")
        #expect(before == ["2xx": 5, "4xx": 7])
        #expect(after.since(before) == ["4xx": 10])
    }

    @Test("a metric without labels is found by its name")
    func values() {
        #expect(metrics(won: 0, refused: 2).value("firstcome_ranking_lag_events") == 4)
        #expect(metrics(won: 0, refused: 2).value("firstcome_ranking") == nil)
    }

    @Test("refusals because of a long queue are counted by queue")
    func shed() {
        let before = ServiceMetrics(#"firstcome_shed_total{queue="redis"} 3"#)
        let after = ServiceMetrics("firstcome_shed_total{queue=\"redis\"} 3\nfirstcome_shed_total{queue=\"store_writes\"} 5")
        #expect(after.shed(since: before) == ["store_writes": 5])
    }

    @Test("what several services have counted is added line by line")
    func several() {
        let sum = ServiceMetrics(sumOf: [metrics(won: 5, refused: 7), metrics(won: 1, refused: 3)])
        #expect(sum.statuses(method: "POST", route: "/claims") == ["2xx": 6, "4xx": 10])
        #expect(sum.value("firstcome_ranking_lag_events") == 8)
    }

    @Test("the size of the store's groups is that of the groups since the last look")
    func groups() {
        func metrics(_ writes: Int, _ commits: Int) -> ServiceMetrics {
            ServiceMetrics("firstcome_store_commits_total \(commits)\nfirstcome_store_writes_total \(writes)")
        }
        #expect(metrics(1_300, 110).groupSize(since: metrics(1_000, 100)) == 30)
        #expect(metrics(1_000, 100).groupSize(since: metrics(1_000, 100)) == nil)
    }

    @Test("p99 is the bound under which 99 of 100 new requests stayed, over all routes")
    func p99() {
        let before = ServiceMetrics(buckets([("a", [1000, 1000, 1000])]))
        #expect(ServiceMetrics(buckets([("a", [1099, 1100, 1100])])).p99(since: before) == 0.001)
        #expect(ServiceMetrics(buckets([("a", [1098, 1100, 1100])])).p99(since: before) == 0.005)
        #expect(ServiceMetrics(buckets([("a", [1099, 1100, 1100]), ("b", [0, 0, 10])])).p99(since: before) == .infinity)
        #expect(before.p99(since: before) == nil)
    }

    private func metrics(won: Int, refused: Int) -> ServiceMetrics {
        ServiceMetrics(
            """
            # TYPE firstcome_http_requests_total counter
            firstcome_ranking_lag_events 4
            firstcome_http_requests_total{method="GET",route="/claims",code="201"} 1000
            firstcome_http_requests_total{method="POST",route="/claims",code="201"} \(won)
            firstcome_http_requests_total{method="POST",route="/claims",code="409"} \(refused - 2)
            firstcome_http_requests_total{method="POST",route="/claims",code="401"} 2
            firstcome_http_requests_total{method="POST",route="/claims",code="500"} 0
            firstcome_http_requests_total{method="POST",route="/claims/x",code="409"} 1000
            """)
    }

    private func buckets(_ routes: [(String, [Int])]) -> String {
        routes.flatMap { route, counts in
            zip(["0.001", "0.005", "+Inf"], counts).map { bound, count in
                "firstcome_http_request_seconds_bucket{method=\"GET\",route=\"\(route)\",le=\"\(bound)\"} \(count)"
            }
        }.joined(separator: "\n")
    }
}
