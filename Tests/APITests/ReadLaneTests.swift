import Commerce
import Dispatch
import Foundation
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import API
@testable import Store

/// Lists over HTTP: full lanes, and clients that do not wait for their answers.
@Suite struct ReadLaneTests {
    private static let openLists = ["/api/v1/products", "/api/v1/products?q=%EA%B7%A4&sort=price", "/api/v1/coupons"]
    private static let personalLists = ["/api/v1/users/1/orders", "/api/v1/users/1/coupons", "/api/v1/users/1/balance/history"]

    @Test("a full lane of open lists answers 503 with Retry-After, and everything else goes on")
    func fullLane() async throws {
        try await ApplicationFixture.run(configure: { $0.browseReads.maximumReads = 0 }) { app in
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"Lee"}"#)
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"Tea","price":1000,"stock":5}"#)
            for list in Self.openLists {
                let answer = try await app.send(.get, list)
                #expect(answer.status == 503 && answer.header("retry-after") == "1", "\(list)")
                #expect(answer.code == "TEMPORARILY_UNAVAILABLE")
            }
            for list in Self.personalLists {
                #expect(try await app.send(.get, list, as: .user(UserID(1))).status == 200, "\(list)")
            }
            #expect(try await app.send(.get, "/api/v1/admin/events", as: .anyAdmin).status == 200)
            #expect(try await app.send(.get, "/api/v1/products/1").status == 200)
            #expect(try await app.store.counts().products == 1)
            let metrics = String(buffer: try await app.send(.get, "/metrics").body)
            #expect(metrics.contains("firstcome_store_reads_refused_total{lane=\"browse\"} 3\n"))
            #expect(metrics.contains("firstcome_store_reads_refused_total{lane=\"personal\"} 0\n"))
            #expect(metrics.contains("firstcome_store_reads{lane=\"service\"} 0\n"))
        }
    }

    enum Ending: CaseIterable, Sendable { case close, reset }

    @Test(
        "the list of a client that has hung up is dropped, makes room for others and is no failure in the log", arguments: Ending.allCases)
    func hungUp(ending: Ending) async throws {
        let lines = LogLines()
        let logger = lines.logger(level: .info)
        try await ApplicationFixture.run(logger: logger, configure: { $0.browseReads = ReadLaneOptions(connections: 1, maximumReads: 2) }) {
            app in
            let store = app.store
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"Tea","price":1000,"stock":5}"#)
            let mayEnd = DispatchSemaphore(value: 0)
            let occupied = Task { try await store.read(.browse) { _ in mayEnd.wait() } }
            defer { mayEnd.signal() }
            @Sendable func depth() -> Int { store.statistics.reads[.browse]?.depth ?? -1 }
            try await eventually("the lane's connection is occupied") { depth() == 1 }
            let server = HTTPListener(
                configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: app.group,
                responder: app.api.responder(on:), refusalResponse: app.api.refusalResponse, logger: logger)
            try await server.start()
            let port = try #require(server.port)
            for abandoned in 1...5 {
                try await offPool {
                    let client = try RawHTTPClient(port: port)
                    try client.send("GET /api/v1/products?q=Tea HTTP/1.1\r\nHost: test\r\n\r\n")
                    let start = ContinuousClock.now
                    while depth() < 2, start.duration(to: .now) < hangLimit { usleep(1_000) }
                    if ending == .close { client.close() } else { client.reset() }
                }
                try await eventually("the list is dropped") { depth() == 1 }
                #expect(store.statistics.reads[.browse]?.cancelled == abandoned)
            }
            let staying = Task {
                try await offPool {
                    let client = try RawHTTPClient(port: port)
                    return try client.exchange("GET /api/v1/products?q=Tea HTTP/1.1\r\nHost: test\r\n\r\n").status
                }
            }
            try await eventually("the list waits") { depth() == 2 }
            mayEnd.signal()
            try await occupied.value
            #expect(try await staying.value == 200)
            await server.drain(deadline: .seconds(60))
        }
        #expect(lines.all.filter { $0.hasPrefix("request") } == [])
    }
}
