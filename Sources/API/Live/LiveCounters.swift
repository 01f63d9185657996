import Histograms

/// What the service has counted of claims and payments since its start, for rates.
struct LiveCounters: Sendable, Equatable {
    var claimsWon = 0
    var claimsRefused = 0
    var claimTimes = HistogramSnapshot(.times)
    var payments = 0
    /// In won, the currency.
    var paid = 0
    var paymentTimes = HistogramSnapshot(.times)
}

/// How often something happened in a time, and how long it took.
struct LiveRates: Sendable, Equatable {
    let claimsWon: Double
    let claimsRefused: Double
    let claimTimes: HistogramSnapshot
    let payments: Double
    let paid: Double
    let paymentTimes: HistogramSnapshot

    /// - Parameter seconds: the time between the two.
    init(from before: LiveCounters, to now: LiveCounters, seconds: Double) {
        // A counter of a process that has started again begins at zero.
        func rate(_ before: Int, _ now: Int) -> Double { Double(max(0, now - before)) / seconds }
        claimsWon = rate(before.claimsWon, now.claimsWon)
        claimsRefused = rate(before.claimsRefused, now.claimsRefused)
        claimTimes = now.claimTimes.since(before.claimTimes)
        payments = rate(before.payments, now.payments)
        paid = rate(before.paid, now.paid)
        paymentTimes = now.paymentTimes.since(before.paymentTimes)
    }

    private init(_ one: LiveRates, _ other: LiveRates) {
        claimsWon = one.claimsWon + other.claimsWon
        claimsRefused = one.claimsRefused + other.claimsRefused
        claimTimes = one.claimTimes + other.claimTimes
        payments = one.payments + other.payments
        paid = one.paid + other.paid
        paymentTimes = one.paymentTimes + other.paymentTimes
    }

    /// The rates of two services together.
    static func + (one: LiveRates, other: LiveRates) -> LiveRates { LiveRates(one, other) }
}

extension HistogramSnapshot {
    /// What was measured after an earlier snapshot of the same histogram.
    func since(_ earlier: HistogramSnapshot) -> HistogramSnapshot {
        HistogramSnapshot(
            bounds: bounds, counts: zip(counts, earlier.counts).map { max(0, $0 - $1) }, sum: max(0, sum - earlier.sum))
    }

    /// The value below which a part of the measurements is, as evenly spread within its bucket; nil without measurements. What is above
    /// every bound counts as the last bound.
    func quantile(_ part: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        let rank = part * Double(total)
        var below = 0
        for (index, inBucket) in counts.enumerated() where inBucket > 0 {
            if Double(below + inBucket) >= rank {
                guard index < bounds.values.count else { break }
                let lower = index == 0 ? 0 : bounds.values[index - 1]
                let share = min(1, max(0, rank - Double(below)) / Double(inBucket))
                return Double(lower) + share * Double(bounds.values[index] - lower)
            }
            below += inBucket
        }
        return bounds.values.last.map(Double.init)
    }
}
