/// A mark that the service has to reach, and how it did.
package struct MarkResult: Codable, Sendable, Equatable {
    package let name: String
    /// What is compared, in words.
    package let measure: String
    package let mark: Double
    package let beyond: Double?
    /// nil where nothing was measured.
    package let measured: Double?
    package let verdict: Verdict

    package enum Verdict: String, Codable, Sendable {
        case beyond = "met, and beyond"
        case met
        case missed
        case notMeasured = "not measured"
    }
}

/// A limit, and on which side of it is good.
package struct Mark: Sendable {
    package enum Side: Sendable { case atMost, atLeast }

    package let name: String
    package let measure: String
    package let side: Side
    package let limit: Double
    package var beyond: Double?

    package init(_ name: String, _ measure: String, _ side: Side, _ limit: Double, beyond: Double? = nil) {
        (self.name, self.measure, self.side, self.limit, self.beyond) = (name, measure, side, limit, beyond)
    }

    package func judge(_ value: Double?) -> MarkResult {
        MarkResult(name: name, measure: measure, mark: limit, beyond: beyond, measured: value, verdict: verdict(value))
    }

    private func verdict(_ value: Double?) -> MarkResult.Verdict {
        guard let value else { return .notMeasured }
        func reaches(_ limit: Double) -> Bool { side == .atMost ? value <= limit : value >= limit }
        guard reaches(limit) else { return .missed }
        return beyond.map(reaches) == true ? .beyond : .met
    }
}

extension MarkResult {
    /// The verdict, and by how much a mark is missed.
    package var words: String {
        guard verdict == .missed, let measured, mark > 0 else { return verdict.rawValue }
        return "missed by \(Figure.short(abs(measured / mark - 1) * 100)) %"
    }
}
