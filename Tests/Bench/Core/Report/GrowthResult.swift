/// One curve: the same requests on stores of different sizes.
package struct GrowthResult: Codable, Sendable {
    package let title: String
    package let unit: String
    package let points: [GrowthPoint]

    package init(title: String, unit: String, points: [GrowthPoint]) {
        (self.title, self.unit, self.points) = (title, unit, points)
    }

    /// How much more CPU a request costs at the largest point than at the smallest, in percent; nil with fewer than two points.
    package var cpuGrowthPercent: Double? {
        guard points.count > 1, let first = points.first, let last = points.last else { return nil }
        return Spread.ratio(last.samples, to: first.samples, of: \.cpu).map { ($0.median - 1) * 100 }
    }
}

/// One size of a curve.
package struct GrowthPoint: Codable, Sendable {
    package let size: Int
    package var samples: [Sample] = []
    /// What one computation of the top products takes in Redis.
    package var refreshMicroseconds: Double?
    /// Resident memory of the service and Redis' used_memory after the last round, in bytes.
    package var service: Int64 = 0
    package var redis: Int64 = 0

    package init(size: Int, samples: [Sample] = []) { (self.size, self.samples) = (size, samples) }
}

extension Report {
    /// Every point of every curve.
    package var growthTable: String {
        var table = Table(
            [
                "Requests", "beside", "requests/s", "CPU µs/request", "Redis CPU µs", "p50 / p99 ms", "top 5 computed in", "service",
                "Redis",
            ], numeric: 2...8)
        for curve in findings.growth {
            for point in curve.points {
                let rate = Spread(point.samples.map(\.perSecond))
                let cpu = Spread(point.samples.map(\.cpu))
                let latencies = [Spread(point.samples.compactMap(\.p50)), Spread(point.samples.compactMap(\.p99))]
                table.add([
                    curve.title, "\(Figure.count(Double(point.size))) \(curve.unit)", rate.map { Figure.count($0.median) } ?? "",
                    Figure.spread(cpu, Figure.short),
                    Spread(point.samples.compactMap(\.redisCPU)).map { Figure.short($0.median) } ?? "",
                    latencies.map { $0.map { Figure.milliseconds($0.median) } ?? "-" }.joined(separator: " / "),
                    point.refreshMicroseconds.map { Figure.milliseconds($0) + " ms" } ?? "", Figure.megabytes(point.service),
                    Figure.megabytes(point.redis),
                ])
            }
        }
        return table.text
    }
}
