import Commerce
import HTTPServer
import Histograms
import JSON
import NIOCore
import Services
import Store

/// The data of one event of the live stream, as `openapi.json` describes it.
struct LiveSnapshot: Sendable {
    var state: LiveState
    var version: String?
    /// Nil before the store was read for the first time.
    var sales: WatchedSales?
    /// Whether the last read of the store succeeded.
    var isStoreRead: Bool
    /// Nil before a second has passed.
    var rates: LiveRates?
    var services: [LiveService]

    /// The event as it is sent, for somebody who watches a campaign; nil watches the first one.
    func event(watching watched: CouponID?) -> ByteBuffer {
        var json = JSONWriter(capacity: 8 * 1024)
        json.buffer.writeStaticString("event: snapshot\ndata: ")
        json.beginObject()
        write(watching: watched, to: &json)
        json.endObject()
        json.buffer.writeStaticString("\n\n")
        return json.buffer
    }

    private func write(watching watched: CouponID?, to json: inout JSONWriter) {
        json.member("at", state.at)
        json.member("timeZone", state.timeZone)
        json.member("version", version)
        write(campaigns(watching: watched), to: &json)
        writeRates(to: &json)
        json.beginObject("top")
        json.write(state.top)
        json.endObject()
        writeHealth(to: &json)
        writeFindings(to: &json)
        json.beginArray("services")
        for service in services {
            json.beginObject()
            json.member("name", service.name)
            json.member("isThis", service.isThis)
            json.member("seenAt", service.seenAt)
            json.member("duties", service.hasDuties)
            json.endObject()
        }
        json.endArray()
    }

    /// The list, with the watched campaign in the last place where it is not in it.
    private func campaigns(watching watched: CouponID?) -> (list: [Campaign], sale: CouponID?) {
        guard let sales else { return ([], nil) }
        guard let watched else { return (sales.campaigns, sales.campaigns.first?.id) }
        guard let other = sales.others[watched] else { return (sales.campaigns, watched) }
        return (sales.campaigns.prefix(WatchedSales.mostCampaigns - 1) + [other], watched)
    }

    private func write(_ shown: (list: [Campaign], sale: CouponID?), to json: inout JSONWriter) {
        json.beginArray("campaigns")
        for campaign in shown.list {
            json.beginObject()
            json.write(campaign, at: state.at)
            json.endObject()
        }
        json.endArray()
        guard let sale = shown.sale, let sales else { return json.memberNull("sale") }
        json.beginObject("sale")
        json.member("couponId", sale)
        json.beginArray("latestWinners")
        for winner in sales.winners[sale] ?? [] {
            json.beginObject()
            json.member("sequence", winner.sequence)
            json.member("userId", winner.userID)
            json.member("issuedAt", winner.issuedAt)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }

    /// The rates of this service in the last second, and those that the others have reported last. The latencies are of this service.
    private func writeRates(to json: inout JSONWriter) {
        let others = services.filter { !$0.isThis }.map(\.rates)
        func sum(_ own: Double?, _ rate: (ServiceReport.Rates) -> Double) -> Double? { own.map { others.map(rate).reduce($0, +) } }
        json.beginObject("claims")
        json.member("wonPerSecond", number: sum(rates?.claimsWon, \.claimsWon))
        json.member("refusedPerSecond", number: sum(rates?.claimsRefused, \.claimsRefused))
        json.member("p50", number: rates?.claimTimes.milliseconds(0.5))
        json.member("p99", number: rates?.claimTimes.milliseconds(0.99))
        json.endObject()
        json.beginObject("payments")
        json.member("perSecond", number: sum(rates?.payments, \.payments))
        json.member("wonPerSecond", number: sum(rates?.paid, \.paid))
        json.member("p50", number: rates?.paymentTimes.milliseconds(0.5))
        json.member("p99", number: rates?.paymentTimes.milliseconds(0.99))
        json.endObject()
    }

    private func writeHealth(to json: inout JSONWriter) {
        let readiness = state.readiness
        json.beginObject("health")
        json.member("ready", readiness.isReady)
        json.beginArray("missing")
        for part in readiness.missing { json.element(part) }
        json.endArray()
        json.beginObject("store")
        json.member("engine", raw: state.isStoreOnServer ? "\"postgresql\"" : "\"sqlite\"")
        json.member("answers", readiness.storeAnswers && isStoreRead)
        json.endObject()
        json.beginObject("redis")
        json.member("answers", readiness.redisAnswers)
        json.endObject()
        json.beginObject("outbox")
        json.member("waiting", (state.outbox?.waiting).map { Int64($0) })
        json.member("parked", (state.outbox?.parked).map { Int64($0) })
        let lag = state.outbox.map { outbox in
            outbox.oldestWaiting.map { max(0, Double(state.at.milliseconds - $0.milliseconds) / 1_000) } ?? 0
        }
        json.member("lagSeconds", number: lag)
        json.endObject()
        json.endObject()
    }

    private func writeFindings(to json: inout JSONWriter) {
        json.beginArray("recovery")
        for finding in state.findings {
            json.beginObject()
            json.member("at", finding.at)
            json.member("kind", finding.kind)
            json.member("count", Int64(finding.count))
            json.endObject()
        }
        json.endArray()
    }
}

/// One of the services on the store.
struct LiveService: Sendable, Equatable {
    let name: String
    let isThis: Bool
    let seenAt: Instant
    let hasDuties: Bool
    /// As it has reported them last.
    let rates: ServiceReport.Rates
}

extension JSONWriter {
    /// A number with up to three decimals, or null.
    fileprivate mutating func member(_ name: StaticString, number: Double?) {
        guard let number, number.isFinite else { return memberNull(name) }
        let thousandths = (number * 1_000).rounded()
        guard abs(thousandths) < 9e15 else { return memberNull(name) }
        member(name, raw: ByteBuffer(string: "\(thousandths / 1_000)"))
    }
}

extension HistogramSnapshot {
    /// A quantile of times in milliseconds; nil without measurements.
    fileprivate func milliseconds(_ part: Double) -> Double? { quantile(part).map { $0 / 1e6 } }
}
