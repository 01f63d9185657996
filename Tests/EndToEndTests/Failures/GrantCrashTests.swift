import Commerce
import FaultPoints
import Foundation
import Logging
import Postgres
import PostgresStore
import Services
import Store
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Grants and crashes", .everyEngine)
    struct GrantCrashTests {}
}

#if DEBUG
extension EndToEnd.GrantCrashTests {
    /// A real `firstcome serve` on the engine of the test, with users in its store.
    private struct Shop: Sendable {
        let folder: String
        let storeURL: String?

        var storeArguments: [String] { storeURL.map { ["--store", $0] } ?? [] }

        static func with(users: Int, _ body: @Sendable (Shop) async throws -> Void) async throws {
            guard Engine.current == .postgres else { return try await withDataFolder { try await with(users, $0, nil, body) } }
            // A server that a service takes: the one that tests share has fsync off.
            let server = try await offPool { try TemporaryPostgres(settings: ["fsync": "on"]) }
            do {
                _ = try await offPool { try server.sql("CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0") }
                try await withDataFolder { try await with(users, $0, server, body) }
                try await offPool { server.end() }
            } catch {
                try? await offPool { server.end() }
                throw error
            }
        }

        private static func with(
            _ users: Int, _ folder: String, _ server: TemporaryPostgres?, _ body: @Sendable (Shop) async throws -> Void
        ) async throws {
            let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
            let options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
            let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
            let url = server.map { "postgresql:///shop?host=\($0.folder.path)&port=\($0.port)&user=\($0.role)" }
            let configuration = try url.map {
                PostgresStoreConfiguration(connection: PostgresConfiguration(endpoint: try PostgresEndpoint(url: $0)))
            }
            let store =
                try configuration.map { try TransactionalStore.open($0, options: options, logger: logger) }
                ?? TransactionalStore.open(path: folder + "/store.sqlite", options: options, logger: logger)
            try await withThrowingTaskGroup { group in
                for _ in 0..<users { group.addTask { _ = try await store.createUser(name: "이바다", in: .at(WallClock.system.now)) } }
                try await group.waitForAll()
            }
            try await offPool { store.close() }
            if url == nil { try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/store.sqlite") }
            try await body(Shop(folder: folder, storeURL: url))
        }

        func serve(_ environment: [String: String] = [:], _ body: (ServeProcess, Caller) async throws -> Void) async throws {
            let arguments = ["--port", "0"] + storeArguments
            try await withServe(folder, arguments, environment: environment) { serve in
                let place = storeURL == nil ? ["--data", folder] : storeArguments
                let token = try await Tool.run(["token", "--admin"] + place).lines[0]
                let pool = HTTPPool(port: serve.port, maximumConnections: 8)
                do {
                    try await body(serve, Caller(pool: pool, token: token))
                    await pool.close()
                } catch {
                    await pool.close()
                    throw error
                }
            }
        }

        func audit() async throws -> Tool.Output { try await Tool.run(["audit", "--data", folder] + storeArguments) }
    }

    private static func list(_ users: ClosedRange<Int>) -> String { users.map { "\($0)\n" }.joined() }

    private static func post(_ admin: Caller, _ coupon: Int64, _ list: String) async throws -> HTTPAnswer {
        try await admin.call(
            "POST", "/coupons/\(coupon)/grants", body: list, headers: ["Content-Type": "text/csv", "Idempotency-Key": "the-list"])
    }

    /// The killed boundary, and how often it is passed before.
    static let crashes = [
        (FaultPoint.beforeGrantStart, 1), (.afterGrantScript, 1), (.afterGrantScript, 6), (.beforeGrantOutcomes, 1),
        (.beforeGrantOutcomes, 2),
    ]

    @Test("killed at any boundary, the service goes on where the list was, and nobody gets two coupons or is forgotten", arguments: crashes)
    func killed(_ point: FaultPoint, _ passage: Int) async throws {
        try await Shop.with(users: 2_200) { shop in
            try await shop.serve([FaultPoint.variable: "\(point.rawValue):\(passage)"]) { serve, admin in
                try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                let coupon = try await admin.makeCoupon(quantity: 2_100)
                let answer = try? await Self.post(admin, coupon, Self.list(1...2_300))
                #expect(try await serve.wait() == nil)
                // The answer of a list is sent before its work begins.
                #expect((answer?.status == 202) == (point != .beforeGrantStart) || answer == nil)
            }
            try await shop.serve { _, admin in
                try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                if point == .beforeGrantStart {
                    #expect(try await admin.get("/coupons/1/grants").expect(200).items().isEmpty)
                }
                // The client that got no answer asks again.
                let id = try await Self.post(admin, 1, Self.list(1...2_300)).expect(202).int("grantId")
                var counts: [Int64] = []
                try await eventually("the grant is done") {
                    let grant = try await admin.get("/coupons/1/grants/\(id)").expect(200)
                    counts = try ["total", "processed", "granted", "alreadyHeld", "soldOut", "unknownUsers"].map { try grant.int($0) }
                    return try grant.string("state") == "DONE"
                }
                #expect(counts == [2_300, 2_300, 2_100, 0, 100, 100])
                #expect(try await admin.get("/coupons/1/grants").expect(200).items().count == 1)
                let audit = try await shop.audit()
                #expect(audit.status == 0, "\(audit.standardOutput)")
            }
        }
    }
}
#endif
