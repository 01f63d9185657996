import Bench

/// A run, compared with the thresholds and the targets.
struct CostReport {
    let result: CostRun.Result
    let thresholds: Thresholds

    /// The thresholds that are exceeded, stale or missing.
    var problems: [String] {
        result.costs.flatMap { cost in
            verdicts(of: cost).compactMap { unit, verdict in verdict == .kept ? nil : "\(cost.route.rawValue): \(unit): \(words(verdict))" }
        }
    }

    private func words(_ verdict: Thresholds.Verdict?) -> String { verdict?.rawValue ?? "no threshold" }

    /// Instructions as a multiple of the bare channel's.
    private func multiple(_ cost: RouteCost) -> Double? { cost.instructions.map { $0 / result.reference } }

    private func verdicts(of cost: RouteCost) -> [(unit: String, verdict: Thresholds.Verdict?)] {
        var verdicts: [(String, Thresholds.Verdict?)] = []
        if let measured = cost.allocations {
            let verdict = thresholds.allocations[cost.route].map { Thresholds.verdict(allocations: measured, limit: $0) }
            verdicts.append(("allocations", verdict))
        }
        if let measured = multiple(cost) {
            let verdict = thresholds.instructions[cost.route].map { Thresholds.verdict(instructions: measured, limit: $0) }
            verdicts.append(("instructions", verdict))
        }
        return verdicts
    }

    var text: String {
        var table = Table(["Route", "allocations", "allowed", "instructions", "x bare channel", "allowed", "verdict"])
        for cost in result.costs {
            table.add([
                cost.route.rawValue, cost.allocations.map(Figure.short) ?? "", thresholds.allocations[cost.route].map(Figure.count) ?? "",
                cost.instructions.map(Figure.count) ?? "", multiple(cost).map(Figure.short) ?? "",
                thresholds.instructions[cost.route].map(Figure.short) ?? "",
                verdicts(of: cost).map { words($1) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "; "),
            ])
        }
        let reference = "A bare channel takes \(Figure.count(result.reference)) instructions outside the kernel for the same request."
        return [reference, table.text, targets.table(Figure.count).text].joined(separator: "\n\n")
    }
}

// MARK: - Targets

extension CostReport {
    /// Instructions of the writing routes, as this program counted them before the HTTP server had its own parser.
    private static let before: [HotRoute: Double] = [
        .wins: 183_700, .charge: 135_700, .order: 194_500, .payment: 282_200, .checkout: 341_000,
    ]

    var targets: [TargetResult] {
        result.costs.flatMap { cost -> [TargetResult] in
            switch cost.route {
            case .soldOut, .alreadyClaimed:
                return [
                    Target(cost.route.rawValue, "instructions outside the kernel", .atMost, 15_000, stretch: 12_000).judge(
                        cost.instructions),
                    Target(cost.route.rawValue, "allocations", .atMost, 3, stretch: 1).judge(cost.allocations),
                ]
            case .wins, .charge, .order, .payment, .checkout:
                guard let before = Self.before[cost.route] else { return [] }
                return [
                    Target(cost.route.rawValue, "instructions fewer than \(Figure.count(before))", .atLeast, 20_000)
                        .judge(cost.instructions.map { before - $0 })
                ]
            case .top, .product, .balance, .paymentGroup, .checkoutGroup: return []
            }
        }
    }
}
