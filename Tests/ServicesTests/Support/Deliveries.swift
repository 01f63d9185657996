import AsyncHTTPClient
import Commerce
import Logging
import NIOPosix
import Store
import Synchronization
import TestSupport

@testable import Services

/// A shop with `orders` paid orders, and a way to deliver their events to a platform. Only the test moves the time.
func withOutbox(
    orders: Int, logger: Logger = Shop.logger, _ body: (Shop, [Payment], (DataPlatform) -> TimedDelivery) async throws -> Void
) async throws {
    let clients = Mutex<[HTTPClient]>([])
    let outcome: Result<Void, any Error>
    do {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 100)
            var payments: [Payment] = []
            for _ in 0..<orders { payments.append(try await shop.sell([(product, 2)], to: user, on: shop.day(ago: 0))) }
            shop.clock.stop(at: Instant(milliseconds: shop.instant(on: shop.day(ago: 0)).milliseconds + 1_000))
            let steady = MovableSteadyClock()
            try await body(shop, payments) { platform in
                let client = WebhookSink.makeClient(for: platform, on: MultiThreadedEventLoopGroup.singleton)
                clients.withLock { $0.append(client) }
                return TimedDelivery(shop, platform, client, steady, logger)
            }
        }
        outcome = .success(())
    } catch {
        outcome = .failure(error)
    }
    for client in clients.withLock({ $0 }) { try? await client.shutdown() }
    try outcome.get()
}

func withPlatform(
    react: @escaping @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction,
    _ body: (DataPlatformServer) async throws -> Void
) async throws {
    let server = try await DataPlatformServer(react: react)
    do { try await body(server) } catch {
        await server.close()
        throw error
    }
    await server.close()
}

/// A delivery whose time only the test moves, with the shop's date.
struct TimedDelivery: Sendable {
    private let delivery: PlatformDelivery
    private let shop: Shop
    private let steady: MovableSteadyClock

    init(_ shop: Shop, _ platform: DataPlatform, _ client: HTTPClient, _ steady: MovableSteadyClock, _ logger: Logger) {
        let sink = WebhookSink(platform: platform, client: client, clock: shop.services.configuration.clock)
        delivery = PlatformDelivery(
            store: shop.store, sink: sink, clock: shop.services.configuration.clock, steady: steady.clock, logger: logger)
        shop.store.onDueWork { [delivery] work in
            if work == .retriedEvents { delivery.readAllAgain() } else { delivery.wakeup.raise() }
        }
        (self.shop, self.steady) = (shop, steady)
    }

    /// Answers after which time something is due.
    @discardableResult
    func step() async throws -> Duration? { try await delivery.step() }

    func advance(by duration: Duration) {
        steady.advance(by: duration)
        shop.clock.advance(byMilliseconds: Int64(duration / .milliseconds(1)))
    }

    /// Steps and lets the time pass that each step answers, until nothing is due by itself.
    func stepUntilQuiet() async throws {
        while let pause = try await step() { advance(by: pause) }
    }
}

/// A clock that stands unless a test moves it.
final class MovableSteadyClock: Sendable {
    private let time = Mutex<Duration>(.zero)

    var clock: SteadyClock { SteadyClock { self.time.withLock { $0 } } }
    func advance(by duration: Duration) { time.withLock { $0 += duration } }
}

extension Shop {
    /// The outbox by event id.
    func records() async throws -> [EventRecord] {
        var (records, cursor): ([EventRecord], String?) = ([], nil)
        repeat {
            let page = try await store.events(state: nil, page: PageRequest(limit: 100, cursor: cursor))
            records += page.items
            cursor = page.nextCursor
        } while cursor != nil
        return records.sorted { $0.event.id < $1.event.id }
    }

    func deliveries() async throws -> [OrderEvent.Delivery] { try await records().map(\.delivery) }
}
