/// The median of several rounds, with the least and the greatest.
package struct Spread: Codable, Sendable, Equatable {
    package let median: Double
    package let least: Double
    package let greatest: Double

    /// nil for no values at all.
    package init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        (least, greatest) = (first, last)
    }

    /// What one row has of another: the ratio in each round that both have, and the median of those ratios.
    ///
    /// Paired, because a round's rows run shortly after each other: what the machine does meanwhile falls on both.
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
