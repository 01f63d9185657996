extension Report {
    /// One line for each row: medians, with the least and the greatest of all rounds.
    package var rowTable: String {
        var table = Table([
            "Row", "requests/s", "CPU µs/request", "of it user", "p50 / p99 / p99.9 ms", "Redis CPU µs", "unexpected", "others' CPU",
            "x requests/s, x CPU of its peers in the same round",
        ])
        for measured in findings.rows {
            table.add([
                measured.row.rawValue + (measured.problems.isEmpty ? "" : " **FAILED**"),
                Figure.spread(measured.spread(\.perSecond), Figure.count), cpu(measured),
                measured.spread(\.userCPU).map { Figure.short($0.median) } ?? "", latencies(measured),
                measured.spread(\.redisCPU).map { Figure.short($0.median) } ?? "",
                String(measured.samples.map(\.unexpected).reduce(0, +)),
                measured.spread(\.foreignShare).map { "\(Int($0.median * 100)) %" } ?? "",
                measured.peers.compactMap { peer in against(peer, measured) }.joined(separator: "; "),
            ])
        }
        return table.text
    }

    /// CPU per request, with that of the work after the last answer where there is any.
    private func cpu(_ measured: Measured) -> String {
        let late = measured.spread(\.lateCPU).map { " + \(Figure.short($0.median)) later" } ?? ""
        return Figure.spread(measured.spread(\.cpu), Figure.short) + late
    }

    private func latencies(_ measured: Measured) -> String {
        let values = [measured.spread(\.p50), measured.spread(\.p99), measured.spread(\.p999)]
        return values.map { $0.map { Figure.milliseconds($0.median) } ?? "-" }.joined(separator: " / ")
    }

    private func against(_ peer: Row, _ measured: Measured) -> String? {
        guard let rate = ratio(measured.row, to: peer, of: \.perSecond), let cpu = ratio(measured.row, to: peer, of: \.cpu) else {
            return nil
        }
        return "\(Figure.short(rate.median)), \(Figure.short(cpu.median)) \(peer.rawValue)"
    }

    package func samples(_ row: Row) -> [Sample] { findings.rows.filter { $0.row == row }.flatMap(\.samples) }

    /// The ratio of a value of one row to that of another, in the same rounds; nil where either was not measured.
    package func ratio(_ row: Row, to peer: Row, of value: (Sample) -> Double?) -> Spread? {
        Spread.ratio(samples(row), to: samples(peer), of: value)
    }
}
