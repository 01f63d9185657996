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

    /// `make bench` measures how long it takes.
    @Test("200,000 orders and as many coupons are audited beside a service; one won too many among them is found")
    func large() async throws {
        try await withDataFolder { folder in
            try await offPool { try LargeShop(count: Self.size).make(in: folder) }
            try await withServe(folder) { serve in
                let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }
                try await eventually("the ranking is rebuilt") { try await guest.get("/products/top").items().count == 5 }
                try await eventually("the wins are sealed") {
                    try await guest.get("/coupons/1").int("chain", "sequence") == Self.size
                }
                let clean = try await Tool.run("audit", "--data", folder, "--json")
                #expect(clean.status == 0, "\(clean)")
                let report = try JSONParser.parse(ByteBuffer(string: clean.standardOutput.trimmingCharacters(in: .newlines)))
                let rows = (report["checks"]?.elements ?? []).compactMap { $0["rowsChecked"]?.int }
                // Every check but those of the one campaign, of archived ones, of the products (twice), the ranking's days, the admin log and
                // the store's name has looked at all.
                #expect(rows.count { $0 >= Self.size } == rows.count - 8, "\(rows)")

                try await offPool {
                    let queue = try storeConnection(in: folder)
                    try queue.write { try $0.execute(sql: "UPDATE users SET balance = balance + 1 WHERE id = 123456") }
                    try queue.close()
                }
                let broken = try await Tool.run("audit", "--data", folder)
                #expect(broken.status == 1 && broken.standardOutput.contains("- user 123456: balance"), "\(broken)")
            }
        }
    }
}
