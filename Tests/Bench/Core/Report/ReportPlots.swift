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
    /// The pictures for which there are measurements.
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
        if !findings.openLoop.isEmpty {
            let plot = openLoopPlot
            pictures.append(Picture(name: "open-loop", title: plot.title, plot: plot))
        }
        if !findings.growth.isEmpty {
            for (name, plot) in [("growth", growthPlot), ("memory", memoryPlot)] {
                pictures.append(Picture(name: name, title: plot.title, plot: plot))
            }
        }
        if let sale = findings.flashSale {
            let plot = plot(of: sale)
            pictures.append(Picture(name: "flash-sale", title: plot.title, plot: plot))
        }
        return pictures
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

    /// One panel for each kind of request, all with the same axes.
    private var openLoopPlot: PanelPlot {
        let percentiles: [(String, KeyPath<Percentiles, Double>)] = [("p50", \.p50), ("p99", \.p99), ("p99.9", \.p999)]
        let all = findings.openLoop.flatMap(\.points).flatMap { point in percentiles.map { point.result.latency[keyPath: $0.1] / 1_000 } }
        return PanelPlot(
            title: "Latency of requests that come at a fixed rate",
            panels: findings.openLoop.map { curve in
                var panel = LinePlot(
                    title: curve.title, xLabel: "rate, % of \(Figure.count(curve.maximum)) requests/s", yLabel: "latency, ms",
                    yScale: .logarithmic,
                    series: percentiles.map { name, value in
                        LinePlot.Series(
                            name, curve.points.map { LinePlot.Point($0.share * 100, $0.result.latency[keyPath: value] / 1_000) })
                    })
                panel.xRange = 0...100
                panel.yRange = LinePlot.decades(around: all)
                return panel
            })
    }

    /// One panel for each curve, because each has its own unit.
    private var growthPlot: PanelPlot {
        PanelPlot(
            title: "Server CPU per request on stores of different sizes",
            panels: findings.growth.map { curve in
                let points = curve.points.compactMap { point in
                    Spread(point.samples.map(\.cpu)).map { LinePlot.Point(Double(point.size), $0.median, spread: $0.least...$0.greatest) }
                }
                return LinePlot(
                    title: curve.title, xLabel: curve.unit, yLabel: "CPU, microseconds", xScale: .logarithmic,
                    series: [LinePlot.Series("", points)])
            }, panelHeight: 300)
    }

    private var memoryPlot: PanelPlot {
        PanelPlot(
            title: "Memory on stores of different sizes",
            panels: findings.growth.map { curve in
                func series(_ name: String, _ bytes: KeyPath<GrowthPoint, Int64>) -> LinePlot.Series {
                    let points = curve.points.map { LinePlot.Point(Double($0.size), Double($0[keyPath: bytes]) / 1_048_576) }
                    return LinePlot.Series(name, points)
                }
                return LinePlot(
                    title: curve.title, xLabel: curve.unit, yLabel: "memory, MB", xScale: .logarithmic,
                    series: [series("service", \.service), series("Redis", \.redis)])
            }, panelHeight: 320)
    }

    private func plot(of sale: FlashSaleResult) -> LinePlot {
        func series(_ name: String, _ value: (FlashSaleSecond) -> Double) -> LinePlot.Series {
            LinePlot.Series(name, sale.seconds.map { LinePlot.Point(Double($0.second), value($0)) })
        }
        return LinePlot(
            title: "A flash sale of \(Figure.count(Double(sale.coupons))) coupons", xLabel: "time, seconds", yLabel: "per second",
            series: [series("requests answered", \.perSecond), series("coupons won", { Double($0.won) })])
    }
}
