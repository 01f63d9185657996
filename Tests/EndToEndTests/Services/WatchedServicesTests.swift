import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Operators who watch one of several services")
    struct WatchedServicesTests {}
}

extension EndToEnd.WatchedServicesTests {
    /// The next event of the stream. Blocks.
    private static func next(_ client: RawHTTPClient) throws -> JSONValue {
        let event = String(decoding: try client.readChunk(), as: UTF8.self)
        let prefix = "event: snapshot\ndata: "
        guard event.hasPrefix(prefix) else { throw RawHTTPClient.Failure.malformed(event) }
        return try JSONParser.parse(ByteBuffer(string: String(event.dropFirst(prefix.count))))
    }

    private static func rate(_ event: JSONValue) -> Double? {
        switch event["claims"]?["wonPerSecond"] {
        case .number(let text): Double(text)
        case .integer(let number): Double(number)
        default: nil
        }
    }

    @Test("they see all services, which one has the duties, and what is won at another one")
    func services() async throws {
        try await ServicesOnServers.run(2) { shop in
            let coupon = try await shop.admin.makeCoupon(quantity: 10_000)
            let buyers = Task {
                while !Task.isCancelled { _ = try await shop.newUser(at: 1, balance: 0).claim(coupon) }
            }
            defer { buyers.cancel() }
            let token = shop.admin.token ?? ""
            let port = shop.services[0].process.port
            let seen = try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send("GET /api/v1/admin/live?couponId=\(coupon) HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer \(token)\r\n\r\n")
                guard try client.readHead().status == 200 else { throw RawHTTPClient.Failure.timedOut }
                // All claims come to the second service, and its rates come with its reports.
                for _ in 0..<120 {
                    let event = try Self.next(client)
                    if event["services"]?.elements?.count == 2, let rate = Self.rate(event), rate > 0 { return event }
                }
                throw RawHTTPClient.Failure.timedOut
            }
            let services = seen["services"]?.elements ?? []
            #expect(services.filter { $0["isThis"] == .bool(true) }.count == 1)
            let holder = services.first { $0["duties"] == .bool(true) }
            #expect(holder?["isThis"] == .bool(true), "the first service has the duties: \(services)")
            #expect(seen["health"]?["store"]?["engine"] == .string("postgresql"))
        }
    }
}
