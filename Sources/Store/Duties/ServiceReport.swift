package import Commerce

/// What one of several services on a store tells about itself every few seconds, for those who watch.
package struct ServiceReport: Sendable, Equatable {
    /// How often something happened, per second.
    package struct Rates: Sendable, Equatable {
        package var claimsWon: Double
        package var claimsRefused: Double
        package var payments: Double
        /// In won, the currency.
        package var paid: Double

        package init(claimsWon: Double = 0, claimsRefused: Double = 0, payments: Double = 0, paid: Double = 0) {
            (self.claimsWon, self.claimsRefused, self.payments, self.paid) = (claimsWon, claimsRefused, payments, paid)
        }
    }

    /// Host and port.
    package let name: String
    package let rates: Rates

    package init(name: String, rates: Rates) { (self.name, self.rates) = (name, rates) }

    /// The time between two reports.
    package static let interval: Duration = .seconds(5)
}

/// A service that has reported lately.
package struct SeenService: Sendable, Equatable {
    package let report: ServiceReport
    /// By the clock of the store's server.
    package let seenAt: Instant
    package let hasDuties: Bool
}

extension QueryConnection {
    /// The services that have reported within the time of two reports and a little more, by name; none in a file, which has one alone.
    func seenServices() throws -> [SeenService] {
        guard sqlite == nil else { return [] }
        return try all(Self.services) { row in
            let rates = ServiceReport.Rates(
                claimsWon: Double(row.int(3)) / 1_000, claimsRefused: Double(row.int(4)) / 1_000, payments: Double(row.int(5)) / 1_000,
                paid: Double(row.int(6)) / 1_000)
            return SeenService(report: ServiceReport(name: row.text(0), rates: rates), seenAt: row.instant(1), hasDuties: row.bool(2))
        }
    }

    private static let services = """
        SELECT s.name, (extract(epoch FROM s.seen_at) * 1000)::bigint, coalesce(d.holder = s.holder AND d.until > clock_timestamp(), false),
            s.claims_won, s.claims_refused, s.payments, s.paid
        FROM services s LEFT JOIN duties d ON d.name = 'background'
        WHERE s.seen_at > clock_timestamp() - interval '12 seconds' ORDER BY s.name
        """
}
