import Foundation
import GRDB
import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The audit of a large store")
    struct LargeAuditTests {}
}

extension EndToEnd.LargeAuditTests {
    private static let size: Int64 = 200_000

    /// A release build has 10 s. A debug build reads 200,000 claims from Redis with unoptimized code, and shares its machine.
    #if DEBUG
    private static let bound: Duration = .seconds(30)
    #else
    private static let bound: Duration = .seconds(10)
    #endif

    @Test("200,000 orders and as many coupons are audited in seconds, beside a service; one won too many among them is found")
    func large() async throws {
        try await withDataFolder { folder in
            try await offPool { try LargeShop(count: Self.size).make(in: folder) }
            try await withServe(folder) { serve in
                let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }
                try await eventually("the ranking is rebuilt") { try await guest.get("/products/top").items().count == 5 }
                let start = ContinuousClock.now
                let clean = try await Tool.run("audit", "--data", folder, "--json")
                let duration = ContinuousClock.now - start
                #expect(clean.status == 0, "\(clean)")
                #expect(duration < Self.bound)
                let report = try JSONParser.parse(ByteBuffer(string: clean.standardOutput.trimmingCharacters(in: .newlines)))
                let rows = (report["checks"]?.elements ?? []).compactMap { $0["rowsChecked"]?.int }
                // Every check but those of the one campaign, the products and the ranking's days has looked at all of them.
                #expect(rows.count { $0 >= Self.size } == rows.count - 4, "\(rows)")
                print("audit of \(Self.size) orders and coupons: \(duration)")

                try await offPool {
                    let queue = try DatabaseQueue(path: folder + "/store.sqlite")
                    try queue.write { try $0.execute(sql: "UPDATE users SET balance = balance + 1 WHERE id = 123456") }
                    try queue.close()
                }
                let broken = try await Tool.run("audit", "--data", folder)
                #expect(broken.status == 1 && broken.standardOutput.contains("- user 123456: balance"), "\(broken)")
            }
        }
    }
}
