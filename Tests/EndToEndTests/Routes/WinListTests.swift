import Foundation
import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("First come can be proved: lists of wins, receipts and the command that checks them", .sharedService, .everyEngine)
    struct WinListTests {}
}

extension EndToEnd.WinListTests {
    /// A campaign that is sold out to these users, in their order, and sealed.
    private func sale(to count: Int) async throws -> (coupon: Int64, users: [Caller]) {
        let coupon = try await service.admin.makeCoupon(quantity: Int64(count))
        var users: [Caller] = []
        for _ in 0..<count {
            let user = try await service.newUser()
            _ = try await user.claim(coupon).expect(201)
            users.append(user)
        }
        try await eventually("all wins are sealed") {
            try await service.guest.get("/coupons/\(coupon)").expect(200).int("chain", "sequence") == Int64(count)
        }
        return (coupon, users)
    }

    /// Reads a list to its end; `issued.csv` as an admin.
    private func list(_ name: String, of coupon: Int64) async throws -> String {
        let (port, token) = (try service.port, try service.admin.token ?? "")
        return try await offPool {
            let client = try RawHTTPClient(port: port)
            let authorization = name == "issued.csv" ? "Authorization: Bearer \(token)\r\n" : ""
            try client.send("GET /api/v1/coupons/\(coupon)/\(name) HTTP/1.1\r\nHost: t\r\n\(authorization)\r\n")
            let head = try client.readHead()
            #expect(head.status == 200 && head["content-type"] == "text/csv; charset=utf-8")
            return String(decoding: try client.readChunks(), as: UTF8.self)
        }
    }

    private func rows(_ list: String) -> [[String]] {
        list.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false).map { String($0) } }
    }

    /// Runs `firstcome verify` with a list in a file.
    private func verify(_ list: String, _ arguments: [String] = [], receipt: String? = nil) async throws -> Tool.Output {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        var arguments = ["verify", folder.path + "/list.csv"] + arguments
        try list.write(toFile: folder.path + "/list.csv", atomically: true, encoding: .utf8)
        if let receipt {
            try receipt.write(toFile: folder.path + "/coupon.json", atomically: true, encoding: .utf8)
            arguments += ["--receipt", folder.path + "/coupon.json"]
        }
        return try await Tool.run(arguments)
    }

    @Test("an admin reads all winners in their order, everybody reads the hashes alone, and both lead to the head that the campaign shows")
    func lists() async throws {
        let (coupon, users) = try await sale(to: 5)
        let head = try await service.guest.get("/coupons/\(coupon)").expect(200).string("chain", "hash")
        let issued = try await list("issued.csv", of: coupon)
        let winners = rows(issued)
        try #require(winners.count == 6)
        #expect(winners[0] == ["couponId", "sequence", "userId", "issuedAt", "nonce", "hash", "issuedCouponId"])
        #expect(winners.dropFirst().map { $0[2] } == users.map { String($0.id) })
        #expect(winners.dropFirst().map { $0[1] } == ["1", "2", "3", "4", "5"] && winners[5][5] == head)
        let chain = try await list("chain.csv", of: coupon)
        #expect(rows(chain)[0] == ["couponId", "sequence", "userHash", "issuedAt", "hash"])
        #expect(rows(chain).dropFirst().map { $0[4] } == winners.dropFirst().map { $0[5] })
        for list in [issued, chain] {
            let output = try await verify(list, ["--head", head])
            #expect(output.status == 0 && output.standardOutput.contains("the hashes of 5 wins are right"), "\(output)")
        }
        for path in ["issued.csv", "chain.csv"] {
            #expect(try await service.admin.get("/coupons/999999/\(path)").expect(404).code == "COUPON_NOT_FOUND")
        }
        #expect(try await users[0].get("/coupons/\(coupon)/issued.csv").status == 403)
        #expect(try await service.guest.get("/coupons/\(coupon)/issued.csv").status == 401)
        let empty = try await service.admin.makeCoupon(quantity: 1)
        #expect(rows(try await list("chain.csv", of: empty)).count == 1)
    }

    @Test("a winner who was changed, added, dropped or moved afterwards shows, and so does an end that was cut off")
    func tampering() async throws {
        let (coupon, _) = try await sale(to: 4)
        let head = try await service.guest.get("/coupons/\(coupon)").expect(200).string("chain", "hash")
        let lines = try await list("issued.csv", of: coupon).split(separator: "\n").map { String($0) }
        func changed(_ change: (inout [String]) -> Void) -> String {
            var lines = lines
            change(&lines)
            return lines.joined(separator: "\n") + "\n"
        }
        func replaced(_ line: Int, _ field: Int, by text: String) -> String {
            changed { lines in
                var fields = lines[line].split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
                fields[field] = text
                lines[line] = fields.joined(separator: ",")
            }
        }
        let whole = changed { _ in }
        #expect(try await verify(whole, ["--head", head]).status == 0)
        for (list, line) in [
            (replaced(2, 2, by: "1"), "line 3:"), (replaced(3, 3, by: "2026-11-20T03:04:05.678Z"), "line 4:"),
            (replaced(2, 4, by: String(repeating: "0", count: 32)), "line 3:"), (changed { $0.remove(at: 2) }, "line 3:"),
            (changed { $0.swapAt(2, 3) }, "line 3:"), (changed { $0.insert($0[2], at: 2) }, "line 4:"),
            (replaced(4, 5, by: String(repeating: "a", count: 64)), "line 5:"), (changed { $0.remove(at: 0) }, "line 1:"),
        ] {
            let output = try await verify(list)
            #expect(output.status == 1 && output.complaint.joined().contains(line), "\(list): \(output)")
        }
        let cut = try await verify(changed { $0.removeLast() }, ["--head", head])
        #expect(cut.status == 1 && cut.complaint.joined().contains("is not in the list"), "\(cut)")
        #expect(try await verify("", []).status == 1)
    }

    @Test("a winner's receipt is theirs alone, and is found in the list that names nobody")
    func receipts() async throws {
        let (coupon, users) = try await sale(to: 3)
        let chain = try await list("chain.csv", of: coupon)
        let own = try await users[1].get("/users/\(users[1].id)/coupons").expect(200).text
        let found = try await verify(chain, receipt: own)
        #expect(found.status == 0 && found.standardOutput.contains("the receipt is the win with sequence 2"), "\(found)")
        let claimed = own.replacingOccurrences(of: "\"userId\":\(users[1].id)", with: "\"userId\":\(users[0].id)")
        #expect(claimed != own)
        let stolen = try await verify(chain, receipt: claimed)
        #expect(stolen.status == 1 && stolen.complaint.joined().contains("the receipt is not of user"), "\(stolen)")
        for user in users { #expect(!chain.contains(",\(user.id),")) }
        let other = try await sale(to: 1)
        let otherChain = try await list("chain.csv", of: other.coupon)
        #expect(try await verify(otherChain, receipt: own).status == 1)
    }
}
