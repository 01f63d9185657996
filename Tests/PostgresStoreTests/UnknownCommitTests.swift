import Commerce
import NIOCore
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import PostgresStore

/// Connections that break at any byte of any answer: no write is lost and none takes effect twice.
@Suite struct UnknownCommitTests {
    @Test("a connection that breaks at any place of the answers costs no charge and doubles none")
    func cuts() async throws {
        try await PostgresHome.with { home in
            try await home.withProxy { proxy, configuration in
                let lines = LogLines()
                let store = try home.open(configuration, logger: lines.logger())
                let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
                // Statements are prepared with the first group.
                _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value
                var (charged, breaks) = (1_000 as Int64, 0)
                for bytes in stride(from: 0, through: 900, by: 12) {
                    proxy.inject(.cut(afterReplyBytes: bytes))
                    let charge = try await store.charge(userID: user, amount: Won(1_001), in: .at(noon)).value
                    charged += 1_001
                    #expect(charge.balance == Won(charged), "after \(bytes) bytes")
                    if proxy.isHealthy { breaks += 1 }
                    proxy.inject(.none)
                }
                #expect(try home.sql("SELECT balance FROM users") == "\(charged)")
                #expect(try home.sql("SELECT sum(amount) FROM transfers") == "\(charged)")
                #expect(breaks > 30, "the answers were shorter than thought")
                let asked = lines.messages.count { $0.contains("asks whether it took effect") }
                #expect(asked > 3, "no answer to a commit was cut")
                #expect(asked < breaks, "no answer before a commit was cut")
            }
        }
    }

    @Test("an answer that never comes is settled by the fence, whether its commit took effect or not")
    func silence() async throws {
        try await PostgresHome.with { home in
            try await home.withProxy { proxy, patient in
                var configuration = patient
                configuration.tripTimeout = .seconds(2)
                let (store, engine) = try home.openEngine(configuration)
                let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
                var charged: Int64 = 0
                for round in 0..<2 {
                    if round == 0 {
                        // The first trip arrives, and its answer does not.
                        proxy.swallowReplies()
                        _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value
                    } else {
                        // The commit arrives, and its answer does not.
                        let gate = Gate()
                        async let gated: Void = gate.pass(engine, user)
                        try await eventually("the lane stands between its trips") { gate.isReached }
                        proxy.swallowReplies()
                        gate.open()
                        try await gated
                    }
                    charged += 1_000
                    #expect(try home.sql("SELECT balance, (SELECT sum(amount) FROM transfers) FROM users") == "\(charged)|\(charged)")
                }
            }
        }
    }

    @Test("a commit that is lost on its way to the server is made again")
    func lostRequest() async throws {
        try await PostgresHome.with { home in
            try await home.withProxy { proxy, configuration in
                let (store, engine) = try home.openEngine(configuration)
                let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
                let gate = Gate()
                async let gated: Void = gate.pass(engine, user)
                try await eventually("the lane stands between its trips") { gate.isReached }
                proxy.hold()
                gate.open()
                try await eventually("the commit is on its way") { proxy.holdsRequests }
                proxy.cutConnections()
                proxy.release()
                try await gated
                #expect(gate.runs == 2)
                #expect(try home.sql("SELECT balance, (SELECT sum(amount) FROM transfers) FROM users") == "1000|1000")
            }
        }
    }

    @Test("a session that the server ends while it waits for a lock, or between its trips, runs its group again")
    func terminated() async throws {
        try await PostgresHome.with { home in
            let (store, engine) = try home.openEngine()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            let terminate =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'firstcome money lane' AND datname = current_database()"

            // In the first trip.
            let blocker = try PostgresConnection.open(home.configuration().connection)
            _ = try blocker.send(within: hangLimit) { batch in
                batch.begin()
                batch.execute(PostgresStatement(nil, "SELECT FROM users FOR UPDATE"))
            }
            async let charge = store.charge(userID: user, amount: Won(1_000), in: .at(noon))
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'firstcome money lane' AND datname = current_database()"
            try await eventually("the lane waits for the row") { try home.sql(waiting) == "1" }
            #expect(try home.sql(terminate) == "1")
            try blocker.rollBack(within: hangLimit)
            #expect(try await charge.value.balance == Won(1_000))

            // Between the trips.
            let gate = Gate()
            async let gated: Void = gate.pass(engine, user)
            try await eventually("the lane stands between its trips") { gate.isReached }
            #expect(try home.sql(terminate) == "1")
            gate.open()
            try await gated
            #expect(gate.runs == 2)
            #expect(try home.sql("SELECT balance, (SELECT sum(amount) FROM transfers) FROM users") == "2000|2000")
        }
    }

    @Test("sessions that the server ends while they are idle are replaced: writes, look-ups and lists go on")
    func idle() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            let reader = try store.makePointReader()
            for round in 1...3 {
                #expect(
                    try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value.balance.rawValue == Int64(round) * 1_000)
                #expect(try reader.balance(of: user)?.amount.rawValue == Int64(round) * 1_000)
                #expect(try await store.balanceHistory(of: user, page: PageRequest(limit: 10)).items.count == round)
                let sessions = "FROM pg_stat_activity WHERE application_name LIKE 'firstcome %' AND datname = current_database()"
                #expect(try home.sql("SELECT bool_and(pg_terminate_backend(pid)) \(sessions)") == "t")
                try await eventually("the sessions have ended") { try home.sql("SELECT count(*) \(sessions)") == "0" }
            }
        }
    }

    @Test("a commit whose wait for a standby is interrupted is answered once a later commit has reached a standby, and not before")
    func interrupted() async throws {
        try await PostgresHome.onOwnServer { home in
            func setStandbys(_ names: String) throws {
                try home.sql("ALTER SYSTEM SET synchronous_standby_names = '\(names)'")
                try home.sql("SELECT pg_reload_conf()")
            }
            let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'firstcome money lane'"
            let store = try home.open()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            try setStandbys("ANY 1 (*)")
            let answered = Mutex(false)
            async let charge = {
                let charge = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value
                answered.withLock { $0 = true }
                return charge
            }()
            try await eventually("the commit waits for a standby") { try home.sql("SELECT count(*) \(waiting)") == "1" }
            let session = try home.sql("SELECT pid \(waiting)")
            #expect(try home.sql("SELECT pg_cancel_backend(\(session))") == "t")
            try await eventually("the fence's commit waits for a standby") {
                try home.sql("SELECT count(*) \(waiting) AND pid <> \(session)") == "1"
            }
            #expect(try home.sql("SELECT balance FROM users") == "1000", "the interrupted commit is a commit on this server")
            #expect(!answered.withLock { $0 })
            try setStandbys("")
            #expect(try await charge.balance == Won(1_000))
            #expect(try home.sql("SELECT sum(amount), count(*) FROM transfers") == "1000|1")
        }
    }

    @Test("while no server answers, a write fails once its patience has ended, and the next one succeeds when a server is back")
    func outage() async throws {
        try await PostgresHome.with { home in
            try await home.withProxy { proxy, patient in
                let user = try await home.open().createUser(name: "Jin", in: .at(noon)).value.id
                var configuration = patient
                configuration.patience = .milliseconds(300)
                let store = try home.open(configuration)
                let away = home.server.folder.path + "/nobody"
                try proxy.move(to: SocketAddress(unixDomainSocketPath: away))
                proxy.cutConnections()
                let error = await #expect(throws: StoreError.self) {
                    _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon))
                }
                #expect(error?.code == .unavailable)
                try proxy.move(to: SocketAddress(unixDomainSocketPath: home.socket))
                try await eventually("a write succeeds again") {
                    do {
                        return try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).isDone
                    } catch let error as StoreError where error.code == .unavailable {
                        return false
                    }
                }
                #expect(try home.sql("SELECT balance = (SELECT sum(amount) FROM transfers) FROM users") == "t")
            }
        }
    }
}
