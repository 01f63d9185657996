/// Tells a service manager how a running service is.
package struct Supervision: Sendable {
    private let manager: ServiceManager
    private let status: String
    /// The signs of life; nil where the manager waits for none.
    private let pulse: LoopPulse?

    /// The time beyond draining that a stop may take: writes are committed, and the private Redis writes its file.
    private static let timeToClose: Duration = .seconds(20)

    /// Says that the service is ready. Where the manager waits for signs of life, it gets two in each period as long as every event loop
    /// runs what it is given; so it notices a loop that hangs.
    ///
    /// - Parameter place: where the service listens, for the status.
    package init(of service: RunningService, by manager: ServiceManager, listeningOn place: String) {
        self.manager = manager
        status = "listens on \(place)"
        pulse = manager.watchdogMicroseconds.map { period in
            LoopPulse(of: service.loops, every: .microseconds(period / 2)) { manager.announceLife() }
        }
        manager.announceReady(status: status)
    }

    /// Runs `reload` between the two messages that the manager expects.
    package func reload(_ reload: () async -> Void) async {
        manager.announceReload()
        await reload()
        manager.announceReady(status: status)
    }

    /// Says that the service ends, and that this may take as long as draining does. A manager waits for no signs of life after that.
    package func end(draining: Duration) async {
        manager.announceStop(takingUpTo: draining + Self.timeToClose)
        await pulse?.stop()
    }
}
