import Commerce
import Testing

@testable import Services

@Suite("Health of the data platform")
struct PlatformHealthTests {
    private let health = Health()

    private static let signs: [DeliveryFailure] = [
        .unreachable("refused"), .unavailable(status: 503, retryAfter: nil), .unavailable(status: 429, retryAfter: nil),
    ]

    @Test("an up platform gets as many posts as there is room for")
    func up() {
        #expect(health.room(inFlight: 0, at: .zero) == 32)
        #expect(health.room(inFlight: 31, at: .zero) == 1)
        #expect(health.room(inFlight: 32, at: .zero) == 0)
        #expect(!health.isDown && health.nextProbe == nil)
    }

    @Test("no connection, 429 and 503 tell of an outage at once", arguments: signs.indices)
    func certain(sign: Int) {
        #expect(health.failed(1, Self.signs[sign], at: .zero))
        #expect(health.isDown && health.room(inFlight: 0, at: .zero) == 0)
    }

    @Test("other failures tell of an outage once they have met several events with none taken in between")
    func several() {
        for round in 1...3 {
            for _ in 1...5 { #expect(!health.failed(1, .failed("500"), at: .zero)) }
            #expect(!health.failed(2, .denied(status: 401), at: .zero))
            if round < 3 { #expect(!health.succeeded(9, sentAt: .zero)) }
        }
        #expect(health.failed(3, .failed("no answer"), at: .zero))
        #expect(health.isDown)
    }

    @Test("refused events say nothing about the platform")
    func refused() {
        for event in Int64(1)...100 { #expect(!health.failed(event, .refused(status: 400), at: .zero)) }
        #expect(!health.isDown)
    }

    @Test("during an outage one probe goes after each pause, and the pauses grow up to half a minute")
    func probes() throws {
        _ = health.failed(1, .unreachable("refused"), at: .zero)
        var now: Duration = .zero
        for round in 0..<20 {
            let next = try #require(health.nextProbe)
            let longest = min(Duration.milliseconds(500) * (1 << min(round, 10)), .seconds(30))
            #expect((longest / 2...longest).contains(next - now), "round \(round): \(next - now)")
            #expect(health.room(inFlight: 0, at: next - .milliseconds(1)) == 0)
            // Also while posts from before the outage still hang.
            #expect(health.room(inFlight: 32, at: next) == 1)
            health.sent(2)
            #expect(health.room(inFlight: 0, at: next + .seconds(1_000)) == 0 && health.nextProbe == nil)
            now = next + .seconds(1)
            #expect(!health.failed(2, .failed("500"), at: now))
        }
        health.sent(2)
        #expect(health.succeeded(2, sentAt: now))
        #expect(!health.isDown && health.room(inFlight: 0, at: now) == 32)
        // The next outage begins with a short pause.
        _ = health.failed(1, .unreachable("refused"), at: now)
        #expect(try #require(health.nextProbe) - now <= .milliseconds(500))
    }

    @Test("posts from before an outage that fail during it do not prolong its pause, and one that is taken ends it")
    func stragglers() {
        for event in Int64(1)...3 { _ = health.failed(event, .failed("500"), at: .zero) }
        let next = health.nextProbe
        for event in Int64(4)...30 { #expect(!health.failed(event, .failed("500"), at: .milliseconds(event))) }
        #expect(health.nextProbe == next)
        #expect(health.succeeded(31, sentAt: .zero))
    }

    @Test("the pause that the platform asks for is kept, whatever was taken before; one that is too long is cut")
    func retryAfter() {
        let asked = DeliveryFailure.unavailable(status: 503, retryAfter: .seconds(120))
        _ = health.failed(1, asked, at: .seconds(10))
        #expect(health.nextProbe == .seconds(130))
        #expect(!health.succeeded(2, sentAt: .seconds(9)))
        #expect(health.isDown && health.nextProbe == .seconds(130))
        health.sent(1)
        _ = health.failed(1, .unavailable(status: 429, retryAfter: .seconds(1_000_000)), at: .seconds(140))
        #expect(health.nextProbe == .seconds(140) + PlatformHealth.longestRetryAfter)
        // A shorter one, of a post that was sent before, cuts nothing.
        _ = health.failed(3, .unavailable(status: 503, retryAfter: .seconds(1)), at: .seconds(141))
        #expect(health.nextProbe == .seconds(140) + PlatformHealth.longestRetryAfter)
        health.sent(1)
        #expect(health.succeeded(1, sentAt: .seconds(500)))
    }

    @Test("a probe that tells nothing leaves room for the next one at once")
    func silent() throws {
        _ = health.failed(1, .unreachable("refused"), at: .zero)
        let next = try #require(health.nextProbe)
        health.sent(2)
        health.ended(2)
        #expect(health.room(inFlight: 0, at: next) == 1)
        health.sent(2)
        #expect(!health.failed(2, .refused(status: 422), at: next))
        #expect(health.room(inFlight: 0, at: next) == 1)
    }
}

/// The health by numbers of events; a class, so that what changes it can stand in an expectation.
private final class Health {
    private var health = PlatformHealth(limit: 32)

    var isDown: Bool { health.isDown }
    var nextProbe: Duration? { health.nextProbe }

    func room(inFlight: Int, at now: Duration) -> Int { health.room(inFlight: inFlight, at: now) }
    func sent(_ event: Int64) { health.sent(EventID(event)) }
    func ended(_ event: Int64) { health.ended(EventID(event)) }
    func succeeded(_ event: Int64, sentAt: Duration) -> Bool { health.succeeded(EventID(event), sentAt: sentAt) }
    func failed(_ event: Int64, _ failure: DeliveryFailure, at now: Duration) -> Bool {
        health.failed(EventID(event), failure, at: now)
    }
}
