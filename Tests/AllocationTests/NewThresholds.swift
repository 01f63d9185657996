import Foundation
import Synchronization

/// For `make thresholds`: what is measured becomes the thresholds, instead of being held against them.
enum NewThresholds {
    /// The file to write, where new thresholds are wanted.
    static var path: String? { ProcessInfo.processInfo.environment["FIRSTCOME_THRESHOLDS"] }

    private static let limits = Mutex<[Cost: [HotRoute: Int]]>([:])

    static func note(_ measured: Double, _ cost: Cost, _ route: HotRoute) {
        limits.withLock { $0[cost, default: [:]][route] = limit(measured, cost) }
    }

    /// A whole number that the next runs will keep: allocations differ by some tenths and by less than half a per cent.
    static func limit(_ measured: Double, _ cost: Cost) -> Int {
        switch cost {
        case .allocations: Int((measured * 1.004 + 0.25).rounded())
        case .instructions: Int((measured / 100).rounded()) * 100
        }
    }

    /// Writes what was noted, and the thresholds as they are for the rest.
    static func write(to path: String) throws {
        let noted = limits.withLock { $0 }
        let objects = try Cost.allCases.map { cost in
            let lines = try HotRoute.allCases.map { route in
                "        \"\(route.rawValue)\": \(try noted[cost]?[route] ?? Threshold.load(cost, route).limit)"
            }
            return "    \"\(cost.rawValue)\": {\n\(lines.joined(separator: ",\n"))\n    }"
        }
        try Data("{\n\(objects.joined(separator: ",\n"))\n}\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}
