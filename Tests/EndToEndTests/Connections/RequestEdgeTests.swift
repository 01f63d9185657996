import App
import HTTPServer
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Requests at the edge of HTTP", .sharedService)
    struct RequestEdgeTests {}
}

extension EndToEnd.RequestEdgeTests {
    private func exchange(_ request: String) async throws -> RawHTTPResponse {
        let port = try #require(try service.running.server.port)
        return try await offPool { try RawHTTPClient(port: port).exchange(request) }
    }

    @Test("white space around the token's field value is no part of it (RFC 9112 section 5)", arguments: [" ", "\t", " \t  "])
    func authorization(space: String) async throws {
        let user = try await service.newUser()
        let token = try #require(user.token)
        let head = "GET /api/v1/users/\(user.id)/balance HTTP/1.1\r\nHost: test\r\n"
        #expect(try await exchange("\(head)Authorization: Bearer \(token)\(space)\r\n\r\n").status == 200)
        #expect(try await exchange("\(head)Authorization:\(space)Bearer \(token)\r\n\r\n").status == 200)
    }

    @Test("white space after the key, the content type and the length of a charge changes nothing", arguments: [" ", "\t "])
    func charge(space: String) async throws {
        let user = try await service.newUser()
        let token = try #require(user.token)
        let request =
            "POST /api/v1/users/\(user.id)/balance/charges HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer \(token)\r\n"
            + "Idempotency-Key: once\(space)\r\nContent-Type: application/json\(space)\r\nContent-Length: 16\(space)\r\n\r\n"
        let (first, second) = (try await exchange(request + #"{"amount": 9000}"#), try await exchange(request + #"{"amount": 9000}"#))
        #expect(first.status == 201, "\(first.body)")
        #expect(second.status == 201 && second["idempotent-replayed"] == "true" && second.body == first.body, "\(second.body)")
    }

    @Test("OPTIONS * is answered for the service as a whole, with the methods it has (RFC 9110 section 9.3.7)")
    func optionsOfTheServer() async throws {
        let answer = try await exchange("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        #expect(answer.status == 204, "\(answer.body)")
        #expect(answer["content-length"] == nil)
        let allowed = Set((answer["allow"] ?? "").split(separator: ",").map { $0.trimmingPrefix(" ") })
        #expect(allowed.isSuperset(of: ["GET", "HEAD", "POST", "PATCH", "OPTIONS"]), "\(allowed)")
    }
}
