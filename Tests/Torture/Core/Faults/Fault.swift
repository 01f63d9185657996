import FaultPoints
import Foundation
import TestSupport

/// One kind of fault that is injected while customers shop, and what repairs it.
package struct Fault: Sendable, CustomStringConvertible {
    package let name: String
    /// Why the fault cannot be injected on this machine; nil where it can.
    let obstacle: @Sendable () -> String?
    /// Runs before the customers of the round begin.
    let prepare: Step
    /// Injects the fault while customers shop. What it stops runs again when it returns.
    let inject: Step
    /// Runs after the verification of the round.
    let finish: Step

    typealias Step = @Sendable (Environment) async throws -> Void

    init(
        _ name: String, obstacle: @escaping @Sendable () -> String? = { nil }, prepare: @escaping Step = { _ in }, inject: @escaping Step,
        finish: @escaping Step = { _ in }
    ) {
        self.name = name
        self.obstacle = obstacle
        self.prepare = prepare
        self.inject = inject
        self.finish = finish
    }

    package var description: String { name }

    /// Every fault that the torture can inject into one service.
    package static let all = service + atFaultPoints + redis + proxies + disk + platform + browsing
    /// Every fault that it can inject where several services share a store on PostgreSQL.
    package static let ofSeveral = service + atFaultPoints + several + clock + stores + cluster + proxies + platform + browsing

    /// The fault could not be injected.
    struct NotReached: Error, CustomStringConvertible {
        let description: String
    }
}

extension Environment {
    func pause(milliseconds: ClosedRange<Int>) async throws {
        try await Task.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &random)))
    }

    /// Starts the service after a crash. At random, it first crashes once more during the start.
    func restartService() async throws {
        if Int.random(in: 0..<3, using: &random) == 0 {
            let points: [FaultPoint] = [.afterEpoch, .afterLoadCoupon, .afterLoadClaims, .beforePersist, .afterCommit, .afterRecordSales]
            if let point = points.randomElement(using: &random) {
                do {
                    try await startService(trap: .init(point: point, passage: Int.random(in: 1...3, using: &random)))
                    try await pause(milliseconds: 0...300)
                    try await killService()
                } catch is ServeProcess.NotServing {
                    // It reached the boundary before it listened.
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
            inject: { environment in
                try await environment.killService()
                try await environment.requestsGoOn()
                try await environment.pause(milliseconds: 0...300)
                try await environment.restartService()
            }),
        Fault(
            "service: SIGKILL, three times",
            inject: { environment in
                for _ in 0..<3 {
                    try await environment.pause(milliseconds: 0...400)
                    try await environment.killService()
                    try await environment.restartService()
                }
            }),
        Fault(
            "service: SIGSTOP for seconds",
            inject: { environment in
                environment.target.send(SIGSTOP)
                try await environment.pause(milliseconds: 500...3_500)
                environment.target.send(SIGCONT)
            }),
        Fault(
            "service: SIGTERM",
            inject: { environment in
                try await environment.stopService()
                try await environment.startService()
            }),
    ]

    /// A SIGKILL at every boundary between two steps.
    static let atFaultPoints = FaultPoint.ofService.map { point in
        Fault(
            "SIGKILL \(point.rawValue)",
            prepare: { environment in
                // Set at a restart of its own, so that the round waits until the service is ready before customers shop.
                let trap = ServiceInstance.Trap(point: point, passage: environment.somePassage(of: point))
                // Whichever service does the duty ends.
                let findings = environment.findings
                try await environment.forEach(of: point.anyServiceMayPass ? nil : [environment.target]) { service, launch in
                    try await service.stop(findings)
                    try await service.start(launch, trap: trap)
                }
            },
            inject: { environment in
                if let service = environment.services.first(where: \.hasMetTrap) {
                    // The service reached the boundary before customers shopped, so the fault has happened; this adds a plain crash.
                    environment.target = service
                    try await environment.killService()
                    try await environment.restartService()
                    return try await environment.removeTraps()
                }
                try await point.request(in: environment)
                // Waits for as long as answers go on, because the time to that many passages depends on the machine.
                try await eventually(
                    "a service ends \(point.rawValue)", whileCounting: { environment.client.counts.current.answers }, most: 100_000
                ) { environment.services.contains(where: \.endedAtTrap) }
                environment.target = environment.services.first(where: \.endedAtTrap) ?? environment.target
                try await environment.pause(milliseconds: 0...200)
                try await environment.restartService()
                try await environment.removeTraps()
            })
    }
}

extension Environment {
    /// A passage that one service reaches within a round.
    fileprivate func somePassage(of point: FaultPoint) -> Int {
        let last = point.anyServiceMayPass ? point.passages.upperBound : max(1, point.passages.upperBound / services.count)
        return Int.random(in: 1...last, using: &random)
    }

    /// Restarts the other services that would still end themselves.
    fileprivate func removeTraps() async throws {
        let findings = findings
        try await forEach(of: services.filter(\.isTrapped)) { service, launch in
            try await service.stop(findings)
            try await service.start(launch)
        }
    }
}

extension FaultPoint {
    /// Which passage ends the process: a random one where a round passes the boundary often, the first where it does rarely.
    fileprivate var passages: ClosedRange<Int> {
        switch self {
        case .afterScript: 1...60
        case .beforeCommit, .afterCommit: 1...120
        case .beforeAnswer: 1...400
        case .beforeRecordSales, .afterRecordSales: 1...12
        case .beforeDelivery, .afterDelivery: 1...60
        case .afterLoadClaims, .beforeSwapSales, .afterEpoch, .afterLoadCoupon, .beforePersist, .betweenStoreAndGate,
            .afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename, .beforeGrantStart, .afterGrantScript, .beforeGrantOutcomes:
            1...1
        }
    }

    /// Whether any of several services may be the one that passes it, because one of them does it for all.
    fileprivate var anyServiceMayPass: Bool {
        switch self {
        case .beforeRecordSales, .afterRecordSales, .beforeSwapSales, .beforeDelivery, .afterDelivery, .afterLoadCoupon, .afterEpoch,
            .afterLoadClaims, .beforePersist, .betweenStoreAndGate:
            true
        case .afterScript, .beforeCommit, .afterCommit, .beforeAnswer, .afterRestoreCopy, .beforeRestoreRename,
            .afterRestoreRename, .beforeGrantStart, .afterGrantScript, .beforeGrantOutcomes:
            false
        }
    }

    /// Causes the service to reach the boundary, where shopping alone does not.
    fileprivate func request(in environment: Environment) async throws {
        switch self {
        case .afterEpoch, .afterLoadCoupon, .afterLoadClaims, .beforeSwapSales:
            try await environment.command("FLUSHALL")
        case .beforePersist:
            // Claims whose replies are dropped are known to Redis alone. On a fast machine the round's other campaigns are sold out by now.
            try await environment.openCampaign(of: environment.customers.count * 3 / 4)
            for proxy in environment.services.flatMap(\.redisProxies) { proxy.swallowReplies() }
        case .betweenStoreAndGate:
            environment.raiseQuantity()
        case .afterScript, .beforeCommit, .afterCommit, .beforeAnswer, .beforeRecordSales, .afterRecordSales, .beforeDelivery,
            .afterDelivery, .afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename, .beforeGrantStart, .afterGrantScript,
            .beforeGrantOutcomes:
            break
        }
    }
}
