/// The result of a flash sale, as a whole and by seconds.
package struct FlashSaleResult: Codable, Sendable {
    package let users: Int
    package let coupons: Int
    package let command: String
    package let whole: Sample
    package let seconds: [FlashSaleSecond]

    package var table: String {
        var table = Table(
            ["Second", "requests/s", "won", "claims refused", "CPU µs/request", "Redis CPU µs/request", "p99 below, ms"], numeric: 0...6)
        for second in seconds {
            table.add([
                String(second.second), Figure.count(second.perSecond), Figure.count(Double(second.won)),
                Figure.count(Double(second.refused)), Figure.short(second.cpu), Figure.short(second.redisCPU),
                second.p99Below.map(Figure.milliseconds) ?? "-",
            ])
        }
        return table.text
    }
}

/// One second of a flash sale.
package struct FlashSaleSecond: Codable, Sendable {
    package let second: Int
    package let perSecond: Double
    /// Of the service and of Redis, in microseconds for each request of any kind.
    package let cpu: Double
    package let redisCPU: Double
    package let won: Int
    package let refused: Int
    /// The bucket bound of the service's latency histogram, in microseconds, that 99 % of the requests did not exceed.
    package let p99Below: Double?
}
