/// The median of several rounds, with the least and the greatest.
package struct Spread: Codable, Sendable, Equatable {
    package let median: Double
    package let least: Double
    package let greatest: Double

    /// Nil without values.
    package init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        (least, greatest) = (first, last)
    }

    /// The ratios of a value of one row to that of another, one for each round that both have.
    ///
    /// Paired by round, because the rows of a round run shortly after each other, so that other load on the machine affects both.
    package static func ratio(_ own: [Sample], to peer: [Sample], of value: (Sample) -> Double?) -> Spread? {
        let ratios = own.compactMap { sample -> Double? in
            guard let other = peer.first(where: { $0.round == sample.round }), let own = value(sample), let theirs = value(other),
                theirs > 0
            else { return nil }
            return own / theirs
        }
        return Spread(ratios)
    }
}
