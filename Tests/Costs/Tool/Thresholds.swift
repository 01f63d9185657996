import Foundation
import JSON
import NIOCore

/// What a request of each route may cost, read from `thresholds.json`: allocations, and instructions as a multiple of the bare channel's.
struct Thresholds: Equatable {
    var allocations: [HotRoute: Double] = [:]
    var instructions: [HotRoute: Double] = [:]

    enum Verdict: String {
        case kept = "ok"
        /// The route costs more than the threshold.
        case exceeded = "TOO MUCH"
        /// The route costs much less than the threshold, so that the gain could be lost unnoticed; the threshold must be lowered.
        case stale = "lower the threshold"
    }

    /// The highest cost that keeps a threshold: less than half an allocation more may come from averaging.
    static func most(allocations limit: Double) -> Double { limit + 0.5 }

    /// The highest multiple that keeps a threshold: it differs by 1 or 2 % from run to run, on a busy machine and on an idle one.
    static func most(instructions limit: Double) -> Double { limit * 1.03 }

    /// Compares a measurement with a threshold, which is stale when it is more than two allocations and more than 5 % too high.
    static func verdict(allocations measured: Double, limit: Double) -> Verdict {
        if measured > most(allocations: limit) { return .exceeded }
        return measured < limit - max(2, limit * 0.05) ? .stale : .kept
    }

    /// Compares a measured multiple with a threshold, which is stale when the multiple is more than 5 % below it.
    static func verdict(instructions measured: Double, limit: Double) -> Verdict {
        if measured > most(instructions: limit) { return .exceeded }
        return measured < limit * 0.95 ? .stale : .kept
    }
}

// MARK: - The file

extension Thresholds {
    static func read(_ path: String) throws -> Thresholds {
        let file = try JSONParser.parse(ByteBuffer(bytes: Data(contentsOf: URL(fileURLWithPath: path))))
        var thresholds = Thresholds()
        for route in HotRoute.allCases {
            thresholds.allocations[route] = number(file["allocations"]?[route.rawValue])
            thresholds.instructions[route] = number(file["instructions, x bare channel"]?[route.rawValue])
        }
        return thresholds
    }

    private static func number(_ value: JSONValue?) -> Double? {
        switch value {
        case .integer(let number)?: Double(number)
        case .number(let text)?: Double(text)
        default: nil
        }
    }

    /// Replaces the thresholds of routes that were measured, and keeps the others.
    mutating func take(_ run: CostRun.Result) {
        for cost in run.costs {
            if let measured = cost.allocations { allocations[cost.route] = measured.rounded() }
            if let measured = cost.instructions { instructions[cost.route] = (measured / run.reference * 100).rounded() / 100 }
        }
    }

    var text: String {
        func object(_ name: String, _ values: [HotRoute: Double], decimals: Int) -> String {
            let lines = HotRoute.allCases.compactMap { route in
                values[route].map { "        \"\(route.rawValue)\": \(String(format: "%.\(decimals)f", $0))" }
            }
            return "    \"\(name)\": {\n\(lines.joined(separator: ",\n"))\n    }"
        }
        let objects = [
            object("allocations", allocations, decimals: 0), object("instructions, x bare channel", instructions, decimals: 2),
        ]
        return "{\n\(objects.joined(separator: ",\n"))\n}\n"
    }

    func write(_ path: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic) }
}
