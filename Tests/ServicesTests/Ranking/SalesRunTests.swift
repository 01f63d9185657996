import Commerce
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Events that Redis counts in one call")
struct SalesRunTests {
    @Test("runs hold every event once, in order, without a gap and of one day each, and their units are those of the events")
    func runs() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            var products: [ProductID] = []
            for _ in 0..<3 { products.append(try await shop.makeProduct(price: 100)) }
            var random = SeededGenerator(seed: 3)
            var payments: [Payment] = []
            for _ in 0..<40 {
                if let payment = payments.randomElement(using: &random), Int.random(in: 0..<3, using: &random) == 0 {
                    let refund = try await shop.store.refund(paymentID: payment.id, items: nil, in: .at(shop.clock.now))
                    if case .done = refund { payments.removeAll { $0.id == payment.id } }
                } else {
                    let line = (products.randomElement(using: &random) ?? products[0], Int64.random(in: 1...5, using: &random))
                    payments.append(try await shop.sell([line], to: user, on: shop.day(ago: Int64.random(in: 0...1, using: &random))))
                }
            }
            let movements = try await shop.store.movements(after: EventID(0), limit: 1_000)
            let runs = SalesRun.runs(of: movements)
            #expect(runs.count > 3 && runs.count < movements.count)
            var next = Int64(1)
            for run in runs {
                #expect(run.first.rawValue == next && run.last >= run.first)
                let own = movements.filter { $0.eventID >= run.first && $0.eventID <= run.last }
                #expect(own.allSatisfy { $0.saleDay == run.saleDay })
                var units: [ProductID: Int64] = [:]
                for unit in own.flatMap(\.units) { units[unit.productID, default: 0] += unit.units }
                #expect(run.units == units)
                next = run.last.rawValue + 1
            }
            #expect(next == Int64(movements.count) + 1)
        }
    }
}
