/// One row of the table, with what measures it once in each round.
struct BenchmarkCase: Sendable {
    let row: Row
    /// The rows it is compared with.
    var peers: [Row] = []
    let measure: @Sendable (_ round: Int) async throws -> Sample
}

/// Rows that are measured in alternation, so that other load on the machine affects all of them.
struct Comparison: Sendable {
    let title: String
    var cases: [BenchmarkCase]

    /// The rows whose name contains the text, with the peers they are compared with; all for nil.
    func keeping(_ text: String?) -> Comparison {
        guard let text, !title.contains(text) else { return self }
        let wanted = cases.filter { $0.row.rawValue.contains(text) }
        let rows = Set(wanted.map(\.row) + wanted.flatMap(\.peers))
        return Comparison(title: title, cases: cases.filter { rows.contains($0.row) })
    }

    /// Measures each row once in each round, every other round in reverse order, so that a drift of the machine favours no row.
    func run(rounds: Int, progress: Progress) async throws -> [Measured] {
        var measured = cases.map { Measured(row: $0.row, peers: $0.peers) }
        for round in 1...rounds {
            let order = round.isMultiple(of: 2) ? Array(cases.indices.reversed()) : Array(cases.indices)
            for index in order {
                try Task.checkCancellation()
                var sample = try await cases[index].measure(round)
                sample.round = round
                measured[index].samples.append(sample)
                progress.tell("round \(round)/\(rounds)  \(cases[index].row.rawValue): \(sample.line)")
            }
        }
        return measured
    }
}

/// A row with all its rounds.
package struct Measured: Codable, Sendable {
    package let row: Row
    package let peers: [Row]
    package var samples: [Sample] = []

    package init(row: Row, peers: [Row], samples: [Sample] = []) {
        (self.row, self.peers, self.samples) = (row, peers, samples)
    }

    package func spread(_ value: (Sample) -> Double?) -> Spread? { Spread(samples.compactMap(value)) }

    /// The problems of all rounds, each one once.
    package var problems: [String] {
        samples.flatMap(\.problems).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
