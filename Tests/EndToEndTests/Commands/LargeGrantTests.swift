import Foundation
import GRDB
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A grant to a long list")
    struct LargeGrantTests {}
}

extension EndToEnd.LargeGrantTests {
    private static let named = 100_000
    private static let users = 15_000

    /// Users who have no coupon, and nothing else.
    private static func makeUsers(in folder: String) throws {
        try makeStoreCountingFrom1(folder)
        let queue = try storeConnection(in: folder)
        try queue.write { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(users))
                    INSERT INTO users (id, name, created_at) SELECT n, '이바다', 0 FROM numbers
                    """)
        }
        try queue.close()
    }

    /// The most memory that a process had so far, in bytes.
    private static func peakMemory(of pid: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) * 1_024
    }

    @Test("a list of 100,000 is worked through in bounded memory, and people who claim beside it are served")
    func large() async throws {
        try await withDataFolder { folder in
            try await offPool { try Self.makeUsers(in: folder) }
            try await withServe(folder) { serve in
                let pool = HTTPPool(port: serve.port, maximumConnections: 8)
                let admin = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--admin").lines[0])
                let tokens = try await Tool.run("token", "--data", folder, "--user", "1-200").lines
                try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                let (granted, claimed) = (try await admin.makeCoupon(quantity: 12_000), try await admin.makeCoupon(quantity: 1_000))
                let before = try Self.peakMemory(of: serve.pid)
                // Those who do not exist come between the others.
                let list = (1...Self.named).map { "\($0 % 7 == 0 ? $0 / 7 : $0 + 1_000_000)" }.joined(separator: "\n")
                let accepted = try await admin.call(
                    "POST", "/coupons/\(granted)/grants", body: list, headers: ["Content-Type": "text/csv"]
                ).expect(202)
                var (times, answer): ([Duration], HTTPAnswer) = ([], accepted)
                try await eventually("the grant is done") {
                    if times.count < tokens.count {
                        let user = Caller(pool: pool, token: tokens[times.count], id: Int64(times.count + 1))
                        let began = ContinuousClock.now
                        _ = try await user.claim(claimed).expect(201)
                        times.append(ContinuousClock.now - began)
                    }
                    answer = try await admin.get(try #require(accepted[header: "location"])).expect(200)
                    return try answer.string("state") == "DONE"
                }
                let members = ["processed", "granted", "soldOut", "unknownUsers"]
                #expect(try members.map { try answer.int($0) } == [100_000, 12_000, 2_285, 85_715])
                let middle = try #require(times.sorted().dropFirst(times.count / 2).first)
                #expect(times.count > 20 && middle < .milliseconds(500), "\(times.count) claims, the middle one took \(middle)")
                let growth = try Self.peakMemory(of: serve.pid) - before
                #expect(growth < 64 * 1_024 * 1_024, "the service grew by \(growth) bytes")
                await pool.close()
                let audit = try await Tool.run("audit", "--data", folder)
                #expect(audit.status == 0, "\(audit.standardOutput)")
            }
        }
    }
}
