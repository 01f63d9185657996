import JSON
import NIOCore

/// What a request costs, in units that can be counted exactly.
enum Cost: String, CaseIterable, Sendable {
    case allocations, instructions
}

/// How much of a cost is accepted for one request, as `thresholds.json` says.
struct Threshold: Equatable {
    let cost: Cost
    let limit: Int

    enum Verdict: Equatable {
        case kept
        /// Somebody made the route dearer.
        case exceeded
        /// Somebody made it cheaper: until the threshold follows, all of that could be lost again unseen.
        case stale
    }

    /// What comes now and then, divided among the requests: less than half an allocation. Instructions differ by 1 or 2 % from run
    /// to run, with the number of wake-ups that a request takes.
    private var tolerance: Double {
        switch cost {
        case .allocations: 0.5
        case .instructions: Double(limit) * 0.05
        }
    }

    /// Figures below the threshold by no more than this leave it alone: a compiler's patch release moves some.
    private var slack: Double {
        switch cost {
        case .allocations: max(2, Double(limit) * 0.05)
        case .instructions: Double(limit) * 0.1
        }
    }

    func verdict(on measured: Double) -> Verdict {
        if measured > Double(limit) + tolerance { return .exceeded }
        return measured < Double(limit) - slack ? .stale : .kept
    }
}

extension Threshold {
    private struct Missing: Error { let name: String }

    static func load(_ cost: Cost, _ route: HotRoute) throws -> Threshold {
        let file = try JSONParser.parse(ByteBuffer(bytes: PackageResources.thresholds_json))
        guard case .integer(let number)? = file[cost.rawValue]?[route.rawValue] else {
            throw Missing(name: "\(cost): \(route.rawValue)")
        }
        return Threshold(cost: cost, limit: Int(number))
    }
}
