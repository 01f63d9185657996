import Testing

@testable import PostgresStore

@Suite struct QueryDialectTests {
    @Test(
        "a query in SQLite's words is put into PostgreSQL's",
        arguments: [
            ("SELECT a FROM t WHERE b = ? AND c < ?", "SELECT a FROM t WHERE b = $1 AND c < $2"),
            ("SELECT a FROM t WHERE b = ?2 AND c < ?1 OR d = ?12", "SELECT a FROM t WHERE b = $2 AND c < $1 OR d = $12"),
            ("SELECT '?' || '''?' FROM t WHERE b = ?", "SELECT '?' || '''?' FROM t WHERE b = $1"),
            ("SELECT a FROM t INDEXED BY t_by_b WHERE b = ?", "SELECT a FROM t WHERE b = $1"),
            ("SELECT a FROM t NOT INDEXED\nGROUP BY a", "SELECT a FROM t\nGROUP BY a"),
            ("SELECT a FROM t INDEXED BY x, u INDEXED BY y", "SELECT a FROM t, u"),
        ])
    func words(query: String, wanted: String) {
        var dialect = QueryDialect()
        #expect(dialect(query) == wanted)
        #expect(dialect(query) == wanted)
    }
}
