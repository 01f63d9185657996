import Bench
import Testing

@Suite("Numbers and tables")
struct FigureTests {
    @Test("thousands are set apart", arguments: [(0.0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (-123, "-123")])
    func counts(value: Double, text: String) {
        #expect(Figure.count(value) == text)
    }

    @Test("three digits are kept, or those before the point", arguments: [(1.234, "1.23"), (12.34, "12.3"), (123.4, "123")])
    func digits(value: Double, text: String) {
        #expect(Figure.short(value) == text)
    }

    @Test("a table's columns stand under each other")
    func table() {
        var table = Table(["Row", "n"])
        table.add(["claim", "12"])
        #expect(table.text == "| Row   | n  |\n|-------|----|\n| claim | 12 |")
    }

    @Test("answers are counted by class for one route alone, and only those since the last look")
    func statuses() {
        let before = StatusCounts(metrics: metrics(won: 5, refused: 7), method: "POST", route: "/claims")
        let after = StatusCounts(metrics: metrics(won: 5, refused: 17), method: "POST", route: "/claims")
        #expect(before.byClass == ["2xx": 5, "4xx": 7])
        #expect(after.since(before) == ["4xx": 10])
    }

    private func metrics(won: Int, refused: Int) -> String {
        """
        # TYPE firstcome_http_requests_total counter
        firstcome_http_requests_total{method="GET",route="/claims",status="2xx"} 1000
        firstcome_http_requests_total{method="POST",route="/claims",status="2xx"} \(won)
        firstcome_http_requests_total{method="POST",route="/claims",status="4xx"} \(refused)
        firstcome_http_requests_total{method="POST",route="/claims/x",status="4xx"} 1000
        """
    }
}
