import Foundation
import TestSupport

extension Environment {
    private func pair() throws -> PostgresPair {
        guard let stores else { throw Fault.NotReached(description: "the store is in a file") }
        return stores
    }

    fileprivate func withPair(_ body: @escaping @Sendable (PostgresPair) throws -> Void) async throws {
        let pair = try pair()
        try await offPool { try body(pair) }
    }

    /// Promotes the standby, measures how long it takes from then until a write succeeds, and makes a new standby.
    fileprivate func promote() async throws {
        try await withPair { try $0.promote() }
        try await measure(.seconds(3)) { await probe.charge() }
        try await pause(milliseconds: 0...500)
        try await withPair { try $0.makeNewStandby() }
        for service in services { try connect(service) }
    }

    /// Cuts all services off from the primary, which runs on.
    fileprivate func cutPrimaryOff(silently: Bool) throws {
        let pair = try pair()
        guard let place = pair.both.firstIndex(where: { $0 === pair.primary }) else { return }
        for service in services { try service.cut([service.storeProxies[place]], silently: silently) }
    }

    fileprivate func commitsWaitForStandby() async throws {
        let pair = try pair()
        try await eventually("commits wait for the standby") { try await offPool { try pair.isSynchronous } }
    }
}

extension Fault {
    /// Commits are not lost only while they wait for the standby.
    private static func ofStore(_ name: String, inject: @escaping Step) -> Fault {
        Fault("PostgreSQL: \(name)", prepare: { try await $0.commitsWaitForStandby() }, inject: inject)
    }

    static let stores = [
        ofStore("SIGKILL, promotion") { environment in
            try await environment.withPair { $0.primary.stop(.killed) }
            try await environment.pause(milliseconds: 0...1_500)
            try await environment.promote()
        },
        ofStore("cut off alive, promotion") { environment in
            try environment.cutPrimaryOff(silently: false)
            try await environment.pause(milliseconds: 0...1_500)
            try await environment.promote()
        },
        ofStore("silent, promotion") { environment in
            try environment.cutPrimaryOff(silently: true)
            try await environment.pause(milliseconds: 0...1_500)
            try await environment.promote()
        },
        ofStore("standby promoted beside a primary that is reached") { environment in
            try await environment.pause(milliseconds: 0...300)
            try await environment.promote()
        },
        ofStore("SIGKILL, no promotion") { environment in
            try await environment.withPair { $0.primary.stop(.killed) }
            try await environment.pause(milliseconds: 0...1_500)
            try await environment.withPair { try $0.primary.start() }
        },
        ofStore("SIGSTOP for seconds") { environment in
            try await environment.withPair { $0.primary.pause() }
            try await environment.pause(milliseconds: 500...3_500)
            try await environment.withPair { $0.primary.resume() }
        },
        ofStore("standby killed") { environment in
            try await environment.withPair { $0.standby.stop(.killed) }
            try await environment.pause(milliseconds: 500...3_000)
            try await environment.withPair { try $0.standby.start() }
        },
        ofStore("sessions terminated") { environment in
            for _ in 0..<3 {
                try await environment.withPair {
                    try $0.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\($0.database)'")
                }
                try await environment.pause(milliseconds: 50...500)
            }
        },
        ofStore("connections cut") { environment in
            for _ in 0..<4 {
                for proxy in environment.target.storeProxies {
                    proxy.inject(.cut(afterReplyBytes: Int.random(in: 1...3_000, using: &environment.random)))
                }
                try await environment.pause(milliseconds: 50...300)
            }
        },
        ofStore("replies dropped") { environment in
            for proxy in environment.target.storeProxies { proxy.swallowReplies() }
            // Longer than a trip may take, so that the service closes the connection.
            try await environment.pause(milliseconds: 5_500...6_500)
        },
    ]
}
