import Foundation
import Synchronization
import TestSupport

extension Fault {
    /// Hundreds of clients search without a pause while customers shop, and many of them disconnect before they are answered.
    static let browsing = [
        Fault(
            "a crowd searches, and hangs up",
            inject: { environment in
                let crowd = SearchingCrowd(port: environment.target.port, findings: environment.findings)
                let searching = Task { await crowd.search() }
                // Also ends the search where the round ends early.
                defer { searching.cancel() }
                try await environment.pause(milliseconds: 1_500...4_000)
                crowd.leave()
                await searching.value
                if crowd.pages == 0 { environment.findings.add(.wrong, "no search was answered with a page") }
            })
    ]
}

/// Clients that search for products. No other request may have to wait for them.
private final class SearchingCrowd: Sendable {
    private let port: Int
    private let pool: HTTPPool
    private let findings: Findings
    private let isOver = Atomic(false)
    private let shown = Atomic(0)

    private static let readers = 260
    private static let leavers = 8
    private static let searches = [
        "q=%EB%A7%A4", "q=%EC%9A%94%EA%B0%80&sort=price", "q=zzzzzz&sort=price", "q=%EB%A7%A4%ED%8A%B8&sort=-price&inStock=true",
        "sort=price&minPrice=900&maxPrice=901", "limit=100", "q=%EA%B0%80%20%EB%A7%A4&inStock=true",
    ]

    init(port: Int, findings: Findings) {
        (self.port, self.findings) = (port, findings)
        pool = HTTPPool(port: port, maximumConnections: Self.readers)
    }

    var pages: Int { shown.load(ordering: .relaxed) }
    func leave() { isOver.store(true, ordering: .relaxed) }

    func search() async {
        await withTaskGroup { group in
            for _ in 0..<Self.readers { group.addTask { await self.readPages() } }
            for _ in 0..<Self.leavers { group.addTask { await self.hangUp() } }
        }
        await pool.close()
    }

    private var goesOn: Bool { !isOver.load(ordering: .relaxed) && !Task.isCancelled }
    private var path: String { "/products?\(Self.searches.randomElement() ?? "")" }

    private func readPages() async {
        let guest = Caller(pool: pool)
        while goesOn {
            guard let answer = try? await guest.get(path) else {
                try? await Task.sleep(for: .milliseconds(20))
                continue
            }
            switch answer.status {
            case 200: shown.add(1, ordering: .relaxed)
            case 429, 503:
                if answer[header: "retry-after"] == nil { findings.add(.wrong, "a search was refused without Retry-After: \(answer.text)") }
                try? await Task.sleep(for: .milliseconds(5))
            default: findings.add(.wrong, "a search was answered \(answer.status): \(answer.text)")
            }
        }
    }

    /// Sends a search and disconnects without reading its answer.
    private func hangUp() async {
        while goesOn {
            try? await offPool { [port, path] in
                let client = try RawHTTPClient(port: port)
                try client.send("GET /api/v1\(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                usleep(.random(in: 0...3_000))
                if Bool.random() { client.reset() } else { client.close() }
            }
        }
    }
}
