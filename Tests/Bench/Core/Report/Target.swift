/// A target of the service, with what was measured.
package struct TargetResult: Codable, Sendable, Equatable {
    package let name: String
    /// What is compared.
    package let measure: String
    package let side: Target.Side
    package let limit: Double
    /// The stricter limit, where there is one.
    package let stretch: Double?
    /// nil where nothing was measured.
    package let measured: Double?
    package let verdict: Verdict

    package enum Verdict: String, Codable, Sendable {
        /// The stretch limit is met too.
        case exceeded
        case met
        case missed
        case notMeasured = "not measured"
    }
}

/// A limit, and on which side of it a value must be.
package struct Target: Sendable {
    package enum Side: String, Codable, Sendable {
        case atMost = "at most"
        case atLeast = "at least"
    }

    package let name: String
    package let measure: String
    package let side: Side
    package let limit: Double
    package var stretch: Double?

    package init(_ name: String, _ measure: String, _ side: Side, _ limit: Double, stretch: Double? = nil) {
        (self.name, self.measure, self.side, self.limit, self.stretch) = (name, measure, side, limit, stretch)
    }

    package func judge(_ value: Double?) -> TargetResult {
        TargetResult(
            name: name, measure: measure, side: side, limit: limit, stretch: stretch, measured: value, verdict: verdict(value))
    }

    private func verdict(_ value: Double?) -> TargetResult.Verdict {
        guard let value else { return .notMeasured }
        func reaches(_ limit: Double) -> Bool { side == .atMost ? value <= limit : value >= limit }
        guard reaches(limit) else { return .missed }
        return stretch.map(reaches) == true ? .exceeded : .met
    }
}

extension TargetResult {
    /// The verdict, and by how much a target is missed.
    package var words: String {
        guard verdict == .missed, let measured, limit > 0 else { return verdict.rawValue }
        return "missed by \(Figure.short(abs(measured / limit - 1) * 100)) %"
    }
}

extension [TargetResult] {
    /// One line for each.
    ///
    /// - Parameter number: writes limits and measurements.
    package func table(_ number: (Double) -> String) -> Table {
        var table = Table(["Subject", "Measure", "Target", "Stretch", "Measured", "Verdict"], numeric: 2...4)
        for target in self {
            table.add([
                target.name, target.measure, "\(target.side.rawValue) \(number(target.limit))", target.stretch.map(number) ?? "",
                target.measured.map(number) ?? "", target.words,
            ])
        }
        return table
    }
}
