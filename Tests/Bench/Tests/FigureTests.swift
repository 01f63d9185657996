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

    @Test("a table's columns are aligned")
    func table() {
        var table = Table(["Row", "n"])
        table.add(["claim", "12"])
        #expect(table.text == "| Row   | n  |\n|-------|----|\n| claim | 12 |")
    }
}
