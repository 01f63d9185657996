import FaultPoints
import Foundation
import TestSupport

/// One way of breaking something while people shop, and of repairing it.
package struct Fault: Sendable, CustomStringConvertible {
    package let name: String
    /// Why it cannot be done on this machine; nil where it can.
    let obstacle: @Sendable () -> String?
    /// Before the shoppers begin.
    let prepare: Step
    /// While they shop. What it stops runs again when it returns.
    let strike: Step
    /// After the round was verified.
    let finish: Step

    typealias Step = @Sendable (Environment) async throws -> Void

    init(
        _ name: String, obstacle: @escaping @Sendable () -> String? = { nil }, prepare: @escaping Step = { _ in }, strike: @escaping Step,
        finish: @escaping Step = { _ in }
    ) {
        self.name = name
        self.obstacle = obstacle
        self.prepare = prepare
        self.strike = strike
        self.finish = finish
    }

    package var description: String { name }

    /// All faults.
    package static let all = service + fullSteps + redis + disk + platform + browsing

    /// The fault could not be brought about.
    struct NotReached: Error, CustomStringConvertible {
        let description: String
    }
}

extension Environment {
    func pause(milliseconds: ClosedRange<Int>) async throws {
        try await Task.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &random)))
    }

    /// Starts the service after a crash. Now and then the crash repeats itself right at the start.
    func restartService() async throws {
        if Int.random(in: 0..<3, using: &random) == 0 {
            let points: [FaultPoint] = [.afterEpoch, .afterLoadCoupon, .afterLoadClaims, .beforePersist, .afterCommit, .afterRecordSales]
            if let point = points.randomElement(using: &random) {
                do {
                    try await startService(trap: Trap(point: point, passage: Int.random(in: 1...3, using: &random)))
                    try await pause(milliseconds: 0...300)
                    try await killService()
                } catch is ServeProcess.NotServing {
                    // It met the boundary before it listened.
                }
            }
        }
        try await startService()
    }
}

// MARK: - The service's process

extension Fault {
    static let service = [
        Fault(
            "service: SIGKILL",
            strike: { environment in
                try await environment.killService()
                try await environment.pause(milliseconds: 0...300)
                try await environment.restartService()
            }),
        Fault(
            "service: SIGKILL, three times",
            strike: { environment in
                for _ in 0..<3 {
                    try await environment.pause(milliseconds: 0...400)
                    try await environment.killService()
                    try await environment.restartService()
                }
            }),
        Fault(
            "service: SIGSTOP for seconds",
            strike: { environment in
                environment.signalService(SIGSTOP)
                try await environment.pause(milliseconds: 500...3_500)
                environment.signalService(SIGCONT)
            }),
        Fault(
            "service: SIGTERM",
            strike: { environment in
                try await environment.stopService()
                try await environment.startService()
            }),
    ]

    /// A SIGKILL at every boundary between two steps.
    static let fullSteps = FaultPoint.ofService.map { point in
        Fault(
            "SIGKILL \(point.rawValue)",
            prepare: { environment in
                // Started with the trap, a service may meet it before it listens; here, people are to be shopping.
                try await environment.stopService()
                try await environment.startService(
                    trap: Environment.Trap(point: point, passage: Int.random(in: point.passages, using: &environment.random)))
            },
            strike: { environment in
                if environment.hasMetTrap {
                    // It cannot be kept from meeting the boundary before anybody shops: the fault has been, and this is one more.
                    try await environment.killService()
                    return try await environment.restartService()
                }
                try await point.request(in: environment)
                // For as long as people go on shopping: how soon that many boundaries are passed depends on the machine.
                try await eventually(
                    "the service ends \(point.rawValue)", whileCounting: { environment.client.counts.current.answers }, most: 100_000
                ) { !environment.isServiceRunning }
                try await environment.pause(milliseconds: 0...200)
                try await environment.restartService()
            })
    }
}

extension FaultPoint {
    /// Which passage ends the process: anywhere in the busiest seconds, and the first where there are few.
    fileprivate var passages: ClosedRange<Int> {
        switch self {
        case .afterScript: 1...60
        case .beforeCommit, .afterCommit: 1...120
        case .beforeAnswer: 1...400
        case .beforeRecordSales, .afterRecordSales: 1...12
        case .beforeDelivery, .afterDelivery: 1...60
        case .afterLoadClaims, .beforeSwapSales, .afterEpoch, .afterLoadCoupon, .beforePersist, .betweenStoreAndGate,
            .afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename:
            1...1
        }
    }

    /// Makes requests that pass the boundary.
    fileprivate func request(in environment: Environment) async throws {
        switch self {
        case .afterEpoch, .afterLoadCoupon, .afterLoadClaims, .beforeSwapSales:
            try await environment.command("FLUSHALL")
        case .beforePersist:
            // Claims whose replies vanish are known to Redis alone.
            environment.proxy.swallowReplies()
        case .betweenStoreAndGate:
            environment.raiseQuantity()
        case .afterScript, .beforeCommit, .afterCommit, .beforeAnswer, .beforeRecordSales, .afterRecordSales, .beforeDelivery,
            .afterDelivery, .afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename:
            break
        }
    }
}
