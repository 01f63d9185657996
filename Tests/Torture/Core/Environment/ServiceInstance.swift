import FaultPoints
import Foundation
import NIOCore
import Synchronization
import TestSupport

/// One of the services, with the proxies between it and the servers that it uses.
///
/// Its process and its trap are in a mutex.
final class ServiceInstance: Sendable, CustomStringConvertible {
    /// The fault point and the passage at which a debug build ends itself.
    struct Trap: Sendable {
        let point: FaultPoint
        let passage: Int
    }

    /// How it is started.
    struct Launch: Sendable {
        let folder: String
        let arguments: [String]
        let disk: SmallDisk?
        /// Words before the command, which run it by `exec`.
        var wrapping: [String] = []
    }

    private struct State {
        var process: ServeProcess?
        /// Nil without a fault point at which it ends itself.
        var trap: Trap?
        /// How often it has done so before the round's customers began to shop.
        var earlyTraps = 0
    }

    let number: Int
    let port: Int
    let pool: HTTPPool
    let logFile: String
    /// One for each Redis server.
    let redisProxies: [FaultProxy]
    /// One for each server of the store; none for SQLite.
    let storeProxies: [FaultProxy]
    private let state = Mutex(State())

    init(
        number: Int, port: Int, connections: Int, logFile: String, redisProxies: [FaultProxy], storeProxies: [FaultProxy] = []
    ) {
        (self.number, self.port, self.logFile) = (number, port, logFile)
        (self.redisProxies, self.storeProxies) = (redisProxies, storeProxies)
        pool = HTTPPool(port: port, maximumConnections: connections)
    }

    var description: String { "service \(number)" }
    var log: String { (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? "" }

    var isRunning: Bool { state.withLock { $0.process?.isRunning == true } }
    var isTrapped: Bool { state.withLock { $0.trap != nil } }
    /// Whether it has ended itself at its fault point.
    var endedAtTrap: Bool { state.withLock { $0.trap != nil && $0.process?.endingSignal == SIGKILL } }
    /// Whether it was restarted without its trap, because it kept hitting it before customers were shopping.
    var hasMetTrap: Bool { state.withLock { $0.trap == nil && $0.earlyTraps > 0 } }

    private var process: ServeProcess? { state.withLock { $0.process } }

    // MARK: Starting and ending

    func start(_ launch: Launch, trap: Trap? = nil) async throws {
        state.withLock { $0.earlyTraps = 0 }
        do {
            try await run(launch, trap: trap)
        } catch let error as ServeProcess.NotServing where trap != nil && error.status == SIGKILL {
            // On a busy machine background work may hit the trap before the service says that it listens.
            try await startTrappedAgain(launch)
        }
    }

    /// Restarts a service that hit its trap by background work, before customers were shopping: up to three times with the trap, then
    /// without it.
    func startTrappedAgain(_ launch: Launch) async throws {
        let (trap, attempts) = state.withLock { state in
            state.earlyTraps += 1
            return (state.trap, state.earlyTraps)
        }
        guard attempts < 4, let trap else { return try await run(launch, trap: nil) }
        do {
            try await run(launch, trap: trap)
        } catch is ServeProcess.NotServing {
            try await run(launch, trap: nil)
        }
    }

    private func run(_ launch: Launch, trap: Trap?) async throws {
        state.withLock { $0.trap = trap }
        var variables = ["FIRSTCOME_DATA_PLATFORM_SECRET": DataPlatform.secret]
        if let trap { variables[FaultPoint.variable] = "\(trap.point.rawValue):\(trap.passage)" }
        let started = try await ServeProcess.start(launch.folder, launch.arguments, environment: variables, log: logFile) {
            let words = launch.wrapping + $0
            return launch.disk?.command(wrapping: words) ?? words
        }
        state.withLock { $0.process = started }
    }

    func send(_ signal: Int32) { process?.send(signal) }

    /// Ends the service by SIGKILL, so that it can answer and save nothing.
    func kill() async throws { _ = try await process?.end(SIGKILL) }

    /// Ends the service by SIGTERM; it must shut down in order and exit with 0, unless it meets its trap meanwhile.
    func stop(_ findings: Findings) async throws {
        let status = try await process?.end(SIGTERM)
        if status != 0, !endedAtTrap { findings.add(.wrong, "SIGTERM ended \(self) with \(status.map(String.init) ?? "a signal")") }
    }

    func end() async {
        try? await kill()
        await pool.close()
        for proxy in redisProxies + storeProxies { try? await proxy.close() }
    }

    // MARK: Its connections

    /// Cuts the service off from the servers behind these proxies: by connections that break and cannot be opened, or by silence.
    func cut(_ proxies: [FaultProxy], silently: Bool) throws {
        // Nobody listens there.
        let nowhere = try SocketAddress(unixDomainSocketPath: logFile + ".none")
        for proxy in proxies {
            if silently {
                proxy.hold()
            } else {
                proxy.move(to: nowhere)
                proxy.cutConnections()
            }
        }
    }

    /// Connects it with these servers again.
    func connect(redis: [SocketAddress], stores: [SocketAddress]) {
        for (proxy, address) in zip(redisProxies + storeProxies, redis + stores) {
            proxy.move(to: address)
            proxy.inject(.none)
            proxy.release()
        }
    }
}
