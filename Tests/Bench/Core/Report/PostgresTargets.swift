/// The targets of a store on PostgreSQL: the service beside pgbench on a copy of the store, on the same server.
extension Report {
    var postgresTargets: [TargetResult] {
        let payments = PostgresRows.payments
        let rate = ratio(.storePayment, \.finishedPerSecond, toFastestOf: payments, \.perSecond)
        let wins = ratio(.storeWins, \.perSecond, toFastestOf: PostgresRows.wins, \.perSecond)
        let cpu = ratio(.storePayment, \.finishedCPU, toFastestOf: payments, \.cpuWithGenerator)
        let hot = ratio(.storeHotPayment, to: .storePayment, of: \.finishedPerSecond)?.median
        let paying = Row.storePayment.rawValue
        return [
            Target(paying, "payments/s, events and ranking included, x pgbench's best", .atLeast, 1.5, stretch: 2.5).judge(rate),
            Target(Row.storeWins.rawValue, "wins/s, x pgbench's best", .atLeast, 4, stretch: 6).judge(wins),
            Target(Row.storeHotPayment.rawValue, "payments/s, x of 1,000 products", .atLeast, 0.8, stretch: 1).judge(hot),
            Target(paying, "CPU with PostgreSQL, x the fastest pgbench with PostgreSQL", .atMost, 0.5, stretch: 0.35).judge(cpu),
        ]
    }

    /// The median over all rounds of a row's value, divided by a value of the peer that was the fastest in the same round; nil where a row
    /// was not measured.
    private func ratio(
        _ row: Row, _ own: (Sample) -> Double?, toFastestOf peers: [Row], _ theirs: (Sample) -> Double?
    ) -> Double? {
        let ratios = samples(row).compactMap { sample -> Double? in
            let others = peers.flatMap(samples).filter { $0.round == sample.round }
            guard others.count == peers.count, let fastest = others.max(by: { $0.perSecond < $1.perSecond }), let own = own(sample),
                let theirs = theirs(fastest), theirs > 0
            else { return nil }
            return own / theirs
        }
        return Spread(ratios)?.median
    }
}

// MARK: - The table

extension Report {
    var hasPostgresRows: Bool { PostgresRows.all.contains { !samples($0).isEmpty } }

    var postgresTable: Table { storeTable(of: PostgresRows.all) }

    /// One line for each row whose store is on PostgreSQL, with the CPU of every process that works for it.
    func storeTable(of rows: [Row]) -> Table {
        var table = Table(
            [
                "Request", "requests/s", "with what follows", "service CPU", "PostgreSQL CPU", "CPU of what follows", "generator CPU",
                "Redis CPU", "writes per commit", "p50, ms", "p99, ms",
            ], numeric: 1...10)
        for measured in findings.rows where rows.contains(measured.row) {
            func median(_ value: (Sample) -> Double?, _ number: (Double) -> String = Figure.short) -> String {
                measured.spread(value).map { number($0.median) } ?? ""
            }
            let isPeer = measured.row.isPeer
            table.add([
                measured.row.rawValue + (measured.problems.isEmpty ? "" : " (failed)"),
                Figure.spread(measured.spread(\.perSecond), Figure.count),
                isPeer ? "" : median({ $0.lateSeconds == nil ? nil : $0.finishedPerSecond }, Figure.count),
                isPeer ? "" : median { sample in sample.databaseCPU.map { sample.cpu - $0 } },
                isPeer ? median(\.cpu) : median(\.databaseCPU), median(\.lateCPU), median(\.generatorCPU), median(\.redisCPU),
                median(\.groupSize), median(\.p50, Figure.milliseconds), median(\.p99, Figure.milliseconds),
            ])
        }
        return table
    }
}
