import HTTPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// What becomes of a request whose client hangs up while it runs.
@Suite("Clients that hang up")
struct HangUpTests {
    enum Ending: CaseIterable, Sendable {
        case close, reset, halfClose

        func end(_ client: RawHTTPClient) {
            switch self {
            case .close: client.close()
            case .reset: client.reset()
            case .halfClose: client.finishWriting()
            }
        }
    }

    @Test("work that is of no use without its client is cancelled when the client hangs up", arguments: Ending.allCases)
    func cancelled(ending: Ending) async throws {
        let entered = Atomic(0)
        let cancelled = Atomic(0)
        let responder: HTTPResponder = { _ in
            .cancellableTask {
                entered.add(1, ordering: .relaxed)
                do {
                    try await Task.sleep(for: hangLimit)
                } catch {
                    cancelled.add(1, ordering: .relaxed)
                }
                return .text("late")
            }
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                // The second request waits for the first one, and begins when its client is gone already.
                try client.send(.get("/1") + .get("/2"))
                try waitUntil { entered.load(ordering: .relaxed) == 1 }
                ending.end(client)
                try waitUntil { cancelled.load(ordering: .relaxed) >= 1 }
                // A client that has ended its own side alone still gets what there is to say.
                if ending == .halfClose {
                    #expect(try client.readResponse().body == "late")
                    #expect(try client.readResponse().body == "late")
                    #expect(cancelled.load(ordering: .relaxed) == 2)
                    #expect(try client.readsEnd())
                }
            }
            try await eventually("nothing is in flight") {
                server.statistics.requestsInFlight == 0 && server.statistics.openConnections == 0
            }
            #expect(entered.load(ordering: .relaxed) == cancelled.load(ordering: .relaxed))
        }
    }

    @Test("other work is not cancelled, however its client ends", arguments: Ending.allCases)
    func finished(ending: Ending) async throws {
        let gate = Gate()
        let done = Atomic(0)
        let cancelled = Atomic(0)
        let responder: HTTPResponder = { _ in
            .task {
                await gate.pass()
                if Task.isCancelled { cancelled.add(1, ordering: .relaxed) } else { done.add(1, ordering: .relaxed) }
                return .text("done")
            }
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.post("/", "x"))
                try waitUntil { gate.entered == 1 }
                ending.end(client)
                // The server learns of a reset at once; of a client that closes it knows only that it sends nothing more.
                if ending == .reset { try waitUntil { server.statistics.openConnections == 0 } }
                gate.open()
                if ending == .halfClose { #expect(try client.readResponse().body == "done") }
            }
            try await eventually("nothing is in flight") {
                server.statistics.requestsInFlight == 0 && server.statistics.openConnections == 0
            }
            #expect(done.load(ordering: .relaxed) == 1 && cancelled.load(ordering: .relaxed) == 0)
        }
    }

    @Test("requests after one whose client stays are not cancelled with an earlier one")
    func laterRequests() async throws {
        let cancelled = Atomic(0)
        let responder: HTTPResponder = { _ in
            .cancellableTask {
                await Task.yield()
                if Task.isCancelled { cancelled.add(1, ordering: .relaxed) }
                return .text("done")
            }
        }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                for _ in 0..<100 { #expect(try client.exchange(.get("/")).body == "done") }
                try RawHTTPClient(port: port).close()
                for _ in 0..<100 { #expect(try client.exchange(.get("/")).body == "done") }
            }
        }
        #expect(cancelled.load(ordering: .relaxed) == 0)
    }
}
