import Commerce
import HTTPServer
import Histograms
import JSON
import NIOCore
import Services
import Store
import TestSupport
import Testing

@testable import API

@Suite("Watching the service")
struct LiveTests {
    @Test("a quantile lies in the bucket of its rank, evenly spread; nothing measured has none")
    func quantiles() {
        func histogram(_ counts: [Int: Int]) -> HistogramSnapshot {
            HistogramSnapshot(bounds: .times, counts: (0..<17).map { counts[$0] ?? 0 }, sum: 0)
        }
        #expect(histogram([:]).quantile(0.5) == nil)
        // 100 measurements up to 100 us.
        #expect(histogram([0: 100]).quantile(0.5) == 50_000)
        #expect(histogram([0: 100]).quantile(0.99) == 99_000)
        // Half of them from 1 to 2.5 ms: the 75th is in the middle.
        #expect(histogram([0: 50, 4: 50]).quantile(0.75) == 1_750_000)
        #expect(histogram([0: 99, 16: 1]).quantile(0.999) == 10_000_000_000)
        #expect(histogram([0: 5, 3: 7]).since(histogram([0: 5, 3: 4])) == histogram([3: 3]))
    }

    @Test("rates are differences by time, of several services together; a counter that starts again gives none below zero")
    func rates() {
        var (before, now) = (LiveCounters(), LiveCounters())
        (before.claimsWon, before.claimsRefused, before.payments, before.paid) = (10, 100, 5, 1_000)
        (now.claimsWon, now.claimsRefused, now.payments, now.paid) = (30, 90, 9, 9_000)
        let rates = LiveRates(from: before, to: now, seconds: 2)
        #expect(rates.claimsWon == 10 && rates.claimsRefused == 0 && rates.payments == 2 && rates.paid == 4_000)
        #expect((rates + rates).claimsWon == 20 && (rates + rates).paid == 8_000)
    }

    private static func snapshot(_ app: ApplicationFixture, _ sales: WatchedSales?) -> LiveSnapshot {
        LiveSnapshot(state: app.services.liveState, version: nil, sales: sales, isStoreRead: true, rates: nil, services: [])
    }

    private func data(_ event: ByteBuffer) throws -> JSONValue {
        let text = String(buffer: event)
        try #require(text.hasPrefix("event: snapshot\ndata: ") && text.hasSuffix("\n\n") && text.count { $0 == "\n" } == 3, "\(text)")
        return try JSONParser.parse(ByteBuffer(string: String(text.dropFirst("event: snapshot\ndata: ".count))))
    }

    @Test("a snapshot is one line of JSON as the API document describes it, whether there is much to show or nothing")
    func schema() async throws {
        try await ApplicationFixture.run { app in
            let document = try JSONParser.parse(ByteBuffer(bytes: PackageResources.openapi_json), maximumDepth: 64)
            let checker = Schema(document: document)
            let schema = try #require(document["components"]?["schemas"]?["LiveSnapshot"])
            var full = Self.snapshot(app, WatchedSales(campaigns: [Samples.campaign], winners: [:]))
            full.version = "1.0"
            full.rates = LiveRates(from: LiveCounters(), to: LiveCounters(), seconds: 1)
            full.services = [LiveService(name: "a\n:1", isThis: true, seenAt: Samples.now, hasDuties: false, rates: ServiceReport.Rates())]
            for snapshot in [Self.snapshot(app, nil), Self.snapshot(app, WatchedSales(campaigns: [], winners: [:])), full] {
                let value = try data(snapshot.event(watching: nil))
                #expect(checker.faults(value, schema) == [], "\(value)")
                #expect(checker.unnamed(value, schema) == [], "\(value)")
            }
        }
    }

    @Test("the watched campaign is always in the list, and the sale is its own")
    func watched() async throws {
        try await ApplicationFixture.run { app in
            let listed = (1...20).map {
                Campaign(id: CouponID(Int64($0)), terms: Samples.terms, issued: 0, createdAt: Samples.now, epoch: 0)
            }
            let other = Campaign(id: CouponID(99), terms: Samples.terms, issued: 0, createdAt: Samples.now, epoch: 0)
            let snapshot = Self.snapshot(app, WatchedSales(campaigns: listed, others: [other.id: other], winners: [:]))
            /// The campaigns of the list, and the one of the sale after them.
            func shown(_ coupon: Int64?) throws -> [JSONValue] {
                let value = try data(snapshot.event(watching: coupon.map { CouponID($0) }))
                return (value["campaigns"]?.elements ?? []).compactMap { $0["couponId"] } + [value["sale"]?["couponId"] ?? .null]
            }
            let twenty: [JSONValue] = (1...20).map { .integer($0) }
            let (first, last, unlisted) = (try shown(nil), try shown(20), try shown(99))
            #expect(first == twenty + [.integer(1)])
            #expect(last == twenty + [.integer(20)])
            #expect(unlisted == twenty.dropLast() + [.integer(99), .integer(99)])
        }
    }

    @Test("nothing is made while nobody watches, and one snapshot a second however many do")
    func hub() async throws {
        try await ApplicationFixture.run { app in
            let live = app.api.live
            #expect(live.made == 0 && !live.isRunning)
            let watches = (0..<20).map { _ in live.watch(nil) }
            let start = ContinuousClock.now
            await withTaskGroup { group in
                for watch in watches {
                    group.addTask {
                        var frames = watch.frames.makeAsyncIterator()
                        for _ in 0..<3 { #expect(await frames.next() != nil) }
                    }
                }
            }
            // Those who join make one more each 200 ms at most, and then it is one a second.
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            #expect(Double(live.made) <= seconds + 8, "\(live.made) in \(seconds) s")
            for watch in watches { watch.end() }
            try await eventually("the work has ended") { !live.isRunning }
            let made = live.made
            let again = live.watch(nil)
            var frames = again.frames.makeAsyncIterator()
            #expect(await frames.next() != nil)
            #expect(live.made > made)
            again.end()
            #expect(await frames.next() == nil)
            try await eventually("the work has ended") { !live.isRunning }
        }
    }

    @Test("a kind of stream has its number of places, and each is free again when its stream is gone, also where it never ran")
    func places() async throws {
        let limits = StreamLimits()
        for kind in StreamKind.allCases {
            var places = (0..<kind.most).map { _ in limits.place(for: kind) }
            #expect(places.allSatisfy { $0 != nil } && limits.place(for: kind) == nil && limits.count(of: kind) == kind.most)
            places.removeLast()
            #expect(limits.place(for: kind) != nil && limits.count(of: kind) == kind.most - 1)
            places = []
            #expect(limits.count(of: kind) == 0)
        }
    }

    @Test("a stream that lasts too long is cut, and one that ends or fails before is not")
    func longest() async throws {
        await #expect(throws: StreamTookTooLong.self) {
            try await StreamTookTooLong.cut(after: .milliseconds(20)) { try await Task.sleep(for: .seconds(60)) }
        }
        try await StreamTookTooLong.cut(after: .seconds(60)) {}
        await #expect(throws: JSONError.self) {
            try await StreamTookTooLong.cut(after: .seconds(60)) { _ = try JSONParser.parse(ByteBuffer(string: "x")) }
        }
        let waiting = Task { try await StreamTookTooLong.cut(after: .seconds(60)) { try await Task.sleep(for: .seconds(60)) } }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }

    @Test("exports for everybody take no place of an admin's, and give theirs back at their end")
    func ownPlaces() async throws {
        try await ApplicationFixture.run { app in
            let campaign = "{\"name\":\"쿠폰\",\"discount\":{\"type\":\"FIXED\",\"amount\":1000},\"quantity\":2}"
            #expect(try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, campaign).status == 201)
            var taken = (1..<StreamKind.openExport.most).map { _ in app.api.streams.place(for: .openExport) }
            for _ in 1...2 { #expect(try await app.send(.get, "/api/v1/coupons/1/chain.csv").status == 200) }
            taken.append(app.api.streams.place(for: .openExport))
            let refused = try await app.send(.get, "/api/v1/coupons/1/chain.csv")
            #expect(refused.status == 503 && refused.header("retry-after") == "5")
            #expect(try await app.send(.get, "/api/v1/coupons/1/issued.csv", as: .anyAdmin).status == 200)
            #expect(taken.count == StreamKind.openExport.most && app.api.streams.count(of: .openExport) == taken.count)
        }
    }

    @Test("the stream is for admins, and refuses a campaign that is none before it begins")
    func refusals() async throws {
        try await ApplicationFixture.run { app in
            #expect(try await app.send(.get, "/api/v1/admin/live").status == 401)
            #expect(try await app.send(.get, "/api/v1/admin/live", as: .user(UserID(1))).status == 403)
            #expect(try await app.send(.get, "/api/v1/admin/live?couponId=7", as: .anyAdmin).code == "COUPON_NOT_FOUND")
            for wrong in ["0", "-1", "x", "1&couponId=2", "9223372036854775808"] {
                #expect(
                    try await app.send(.get, "/api/v1/admin/live?couponId=\(wrong)", as: .anyAdmin).code == "INVALID_REQUEST", "\(wrong)")
            }
            let taken = (0..<StreamKind.live.most).map { _ in app.api.streams.place(for: .live) }
            let refused = try await app.send(.get, "/api/v1/admin/live", as: .anyAdmin)
            #expect(refused.status == 503 && refused.code == "TEMPORARILY_UNAVAILABLE" && refused.header("retry-after") == "5")
            #expect(taken.count == StreamKind.live.most && app.api.streams.count(of: .live) == StreamKind.live.most)
            #expect(app.api.live.made == 0)
        }
    }
}
