import BenchPlots
import LoadGenerator

/// A picture of the report.
struct Picture: Sendable {
    /// The file's name without `.svg`.
    let name: String
    let title: String
    let plot: any Plot
}

extension Report {
    /// Those for which something was measured.
    var pictures: [Picture] {
        var pictures: [Picture] = []
        let bars = costs
        if !bars.isEmpty {
            let plot = BarPlot(title: "What a request costs", valueLabel: "server CPU, microseconds per request", rows: bars)
            pictures.append(Picture(name: "cost", title: plot.title, plot: plot))
        }
        let rates = moneyRates
        if !rates.isEmpty {
            let plot = BarPlot(title: "Durable writes beside PostgreSQL", valueLabel: "requests per second", rows: rates)
            pictures.append(Picture(name: "money", title: plot.title, plot: plot))
        }
        var lines: [(String, LinePlot)] = []
        if !findings.openLoop.isEmpty { lines.append(("open-loop", openLoopPlot)) }
        if !findings.growth.isEmpty { lines += [("growth", growthPlot), ("memory", memoryPlot)] }
        if let sale = findings.flashSale { lines.append(("flash-sale", plot(of: sale))) }
        return pictures + lines.map { Picture(name: $0, title: $1.title, plot: $1) }
    }

    private func bar(_ name: String, _ row: Row, _ value: (Sample) -> Double) -> BarPlot.Bar? {
        Spread(samples(row).map(value)).map { BarPlot.Bar(name, $0.median, spread: $0.least...$0.greatest) }
    }

    private var costs: [BarPlot.Row] {
        let rows: [(Row, [(String, Row)])] = [
            (.claimSoldOut, [("webdis", .webdisSoldOut), ("bare channel", .bareChannel)]), (.claimAlready, [("webdis", .webdisAlready)]),
            (.top, [("SwiftNIO alone", .bareServer), ("nginx return 200", .nginx)]), (.product, []), (.balance, []),
        ]
        return rows.compactMap { row, peers in
            guard let own = bar("firstcome", row, \.cpu) else { return nil }
            return BarPlot.Row(row.rawValue, [own] + peers.compactMap { bar($0.0, $0.1, \.cpu) })
        }
    }

    private var moneyRates: [BarPlot.Row] {
        let rows: [(Row, [(String, Row)])] = [
            (.claimWins, []), (.order, [("PostgreSQL, 16 clients", .postgresOrder16)]),
            (.payment, [("PostgreSQL, 16 clients", .postgresPayment16)]), (.checkout, [("PostgreSQL, 16 clients", .postgresCheckout16)]),
            (.charge, [("PostgreSQL, 16 clients", .postgresCharge16)]),
        ]
        return rows.compactMap { row, peers in
            guard let own = bar("firstcome", row, \.perSecond) else { return nil }
            return BarPlot.Row(row.rawValue, [own] + peers.compactMap { bar($0.0, $0.1, \.perSecond) })
        }
    }

    private var openLoopPlot: LinePlot {
        let percentiles: [(String, (OpenLoopPoint) -> Double)] = [
            ("p50", { $0.result.latency.p50 }), ("p99", { $0.result.latency.p99 }), ("p99.9", { $0.result.latency.p999 }),
        ]
        return LinePlot(
            title: "Latency of claims that come at a fixed rate", xLabel: "rate, % of the greatest", yLabel: "milliseconds",
            yScale: .logarithmic,
            series: findings.openLoop.flatMap { curve in
                percentiles.map { name, value in
                    LinePlot.Series("\(curve.title), \(name)", curve.points.map { LinePlot.Point($0.share * 100, value($0) / 1_000) })
                }
            })
    }

    private var growthPlot: LinePlot {
        LinePlot(
            title: "What a request costs beside little and beside much", xLabel: "how much there is", yLabel: "server CPU, microseconds",
            xScale: .logarithmic,
            series: findings.growth.map { curve in
                LinePlot.Series(
                    curve.title,
                    curve.points.compactMap { point in
                        Spread(point.samples.map(\.cpu)).map {
                            LinePlot.Point(Double(point.size), $0.median, spread: $0.least...$0.greatest)
                        }
                    })
            })
    }

    private var memoryPlot: LinePlot {
        func series(_ name: String, _ bytes: (GrowthPoint) -> Int64) -> [LinePlot.Series] {
            findings.growth.map { curve in
                LinePlot.Series(
                    "\(name): \(curve.unit)", curve.points.map { LinePlot.Point(Double($0.size), Double(bytes($0)) / 1_048_576) })
            }
        }
        return LinePlot(
            title: "Memory beside little and beside much", xLabel: "how much there is", yLabel: "resident memory of the service, MB",
            xScale: .logarithmic, series: series("service", \.service))
    }

    private func plot(of sale: FlashSaleResult) -> LinePlot {
        func series(_ name: String, _ value: (FlashSaleSecond) -> Double) -> LinePlot.Series {
            LinePlot.Series(name, sale.seconds.map { LinePlot.Point(Double($0.second), value($0)) })
        }
        return LinePlot(
            title: "A flash sale of \(Figure.count(Double(sale.coupons))) coupons", xLabel: "second", yLabel: "per second",
            series: [series("requests", \.perSecond), series("coupons won", { Double($0.won) })])
    }
}
