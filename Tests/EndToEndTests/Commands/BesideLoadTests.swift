import Foundation
import GRDB
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The commands beside a service at work")
    struct BesideLoadTests {}
}

extension EndToEnd.BesideLoadTests {
    /// Runs `body` while 48 people use everything that a real service has.
    private static func underLoad(_ folder: String, _ body: (LoadedShop) async throws -> Void) async throws {
        try await withServe(folder) { serve in
            let pool = HTTPPool(port: serve.port, maximumConnections: 64)
            let admin = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--admin").lines[0])
            let tokens = try await Tool.run("token", "--data", folder, "--user", "1-400").lines
            let users = tokens.enumerated().map { Caller(pool: pool, token: $0.element, id: Int64($0.offset + 1)) }
            let made = try await together(users) { _ in try await admin.post("/users", #"{"name": "이바다"}"#) }
            #expect(made.statusCounts == ["201": 400])
            _ = try await together(users) { try await $0.charge(1_000_000) }
            var (products, coupons): ([Int64], [Int64]) = ([], [])
            for _ in 0..<8 { products.append(try await admin.makeProduct(price: 100, stock: 1_000_000)) }
            for _ in 0..<20 { coupons.append(try await admin.makeCoupon(quantity: 300)) }
            let shop = LoadedShop(admin: admin, users: users, products: products, coupons: coupons)
            let seed = SeededGenerator().seed
            let load = Task { try await shop.run(workers: 48, seed: seed) }
            do {
                try await eventually("the shop is busy") { shop.record.total > 300 }
                try await body(shop)
            } catch {
                shop.stop()
                _ = await load.result
                throw error
            }
            shop.stop()
            try await load.value
        }
    }

    @Test("audits beside full load raise no false alarm")
    func audits() async throws {
        try await withDataFolder { folder in
            try await Self.underLoad(folder) { shop in
                for _ in 0..<4 {
                    let before = shop.record.total
                    let audit = try await Tool.run("audit", "--data", folder)
                    #expect(audit.status == 0, "\(audit)")
                    #expect(shop.record.total > before, "the shop was at work meanwhile")
                }
            }
        }
    }

    @Test("a backup under load opens, keeps every invariant, and holds every success that was told before it began")
    func backup() async throws {
        try await withDataFolder { folder in
            let copy = folder + "/copy"
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
            try await Self.underLoad(folder) { shop in
                let told = shop.record
                let backup = try await Tool.run("backup", "--data", folder, copy + "/store.sqlite")
                #expect(backup.status == 0 && backup.lines == ["copied the store to \(copy)/store.sqlite"], "\(backup)")
                #expect(shop.record.total > told.total, "the shop was at work meanwhile")
                let queue = try DatabaseQueue(path: copy + "/store.sqlite")
                for table in LoadedShop.Table.allCases {
                    let ids = try #require(told[table])
                    let kept = try await queue.read { try Int64.fetchSet($0, sql: "SELECT id FROM \(table.rawValue)") }
                    #expect(ids.subtracting(kept).isEmpty, "\(table)")
                }
                try queue.close()
            }
            try await withDataFolder { restored in
                #expect(try await Tool.run("restore", copy + "/store.sqlite", "--data", restored).status == 0)
                try await withServe(restored) { serve in
                    let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                    try await eventually("the gates are there") { try await guest.get("/readyz").status == 200 }
                    try await eventually("the sales are counted") {
                        try await guest.get("/metrics").text.contains("\nfirstcome_ranking_lag_events 0\n")
                    }
                    let audit = try await Tool.run("audit", "--data", restored)
                    #expect(audit.status == 0, "\(audit)")
                }
            }
        }
    }

    @Test("a long reader lets the write-ahead log grow, the metric shows its size, and once the reader is gone it grows no more")
    func longReader() async throws {
        try await withDataFolder { folder in
            try await withServe(folder) { serve in
                let pool = HTTPPool(port: serve.port, maximumConnections: 16)
                let admin = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--admin").lines[0])
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                let user = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--user", "1").lines[0], id: 1)
                // A foreign tool, such as somebody's sqlite3, with a transaction that stays open.
                var leaving = Configuration()
                leaving.allowsUnsafeTransactions = true
                let reader = try DatabaseQueue(path: folder + "/store.sqlite", configuration: leaving)
                try await reader.writeWithoutTransaction { db in
                    try db.execute(sql: "BEGIN")
                    _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM users")
                }
                let limit = 18 << 20
                let grown = try await Self.write(as: user, until: { $0 > limit + (4 << 20) }, folder, admin)
                #expect(grown > limit, "the log holds what the reader must not see")
                try await reader.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
                try reader.close()
                // As much again goes into the log's old room.
                let pages = try await Self.pages(folder)
                let after = try await Self.write(as: user, until: { _ in false }, folder, admin)
                #expect(after <= grown + (1 << 20), "grew from \(grown) to \(after)")
                #expect(try await Self.pages(folder) >= pages)
                #expect(try await user.balance > 0)
            }
        }
    }

    private static func pages(_ folder: String) async throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/store.sqlite")
        return ((attributes[.size] as? NSNumber)?.intValue ?? 0) / 4_096
    }

    /// Writes until the log has that size by the metric, at most 6,000 times, and answers the size. Metric and file always agree.
    private static func write(as user: Caller, until isEnough: (Int) -> Bool, _ folder: String, _ admin: Caller) async throws -> Int {
        var size = 0
        for _ in 0..<60 where !isEnough(size) {
            _ = try await together(Array(0..<10)) { _ in
                var answer = try await user.post("/users/1/balance/charges", #"{"amount": 1000}"#, key: UUID().uuidString)
                for _ in 0..<9 { answer = try await user.post("/users/1/balance/charges", #"{"amount": 1000}"#, key: UUID().uuidString) }
                return answer
            }
            let text = try await admin.get("/metrics").expect(200).text
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("firstcome_store_wal_bytes ") })
            size = try #require(Double(line.split(separator: " ")[1]).map { Int($0) })
            let file = try FileManager.default.attributesOfItem(atPath: folder + "/store.sqlite-wal")
            #expect((file[.size] as? NSNumber)?.intValue == size)
        }
        return size
    }
}
