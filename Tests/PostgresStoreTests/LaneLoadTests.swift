import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// How long a write has to wait, by which the service refuses work that comes too fast.
@Suite struct LaneLoadTests {
    @Test("the time in which a lane waited for a locked row is not the work of a write")
    func lockedRow() async throws {
        try await PostgresHome.with { home in
            let (store, engine) = try home.openEngine()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            async let lock: String = offPool { try home.sql("BEGIN; SELECT FROM users FOR UPDATE; SELECT pg_sleep(2); COMMIT") }
            try await eventually("the row is locked") {
                try home.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2)%' AND wait_event = 'PgSleep'") == "1"
            }
            _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value
            _ = try await lock
            let gate = Gate()
            async let gated: Void = gate.pass(engine, user)
            try await eventually("the lane stands between its trips") { gate.isReached }
            async let charges = withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<50 { group.addTask { _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value } }
                try await group.waitForAll()
            }
            try await eventually("all wait") { store.statistics.queueDepth == 51 }
            // At instant 0 no group has begun, so this is the time for what waits. Each of the 51 would count an eighth of the two seconds.
            let wait = try #require(store.writerLoad).wait(at: 0)
            gate.open()
            try await gated
            try await charges
            #expect(wait > 0 && wait < 5_000_000_000, "\(wait) ns")
        }
    }
}
