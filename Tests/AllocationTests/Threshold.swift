import JSON
import NIOCore

/// How many allocations of a request are accepted, as `thresholds.json` says.
struct Threshold: Equatable {
    let allocations: Int

    enum Verdict: Equatable {
        case kept
        /// Somebody made the route dearer.
        case exceeded
        /// Somebody made it cheaper: until the threshold follows, all of that could be lost again unseen.
        case stale
    }

    /// Figures below the threshold by no more than this leave it alone: a compiler's patch release moves some.
    var slack: Int { max(2, allocations / 20) }

    func verdict(on measured: Double) -> Verdict {
        // One allocation more in each request is a whole one; less than half of one is what comes now and then.
        if measured > Double(allocations) + 0.5 { return .exceeded }
        return measured < Double(allocations - slack) ? .stale : .kept
    }

    struct Missing: Error { let route: String }

    /// The threshold of a route.
    static func load(_ route: String) throws -> Threshold {
        let file = try JSONParser.parse(ByteBuffer(bytes: PackageResources.thresholds_json))
        guard case .integer(let number)? = file[route] else { throw Missing(route: route) }
        return Threshold(allocations: Int(number))
    }
}
