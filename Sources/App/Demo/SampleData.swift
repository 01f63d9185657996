package import Commerce
package import Store

/// The sample data of `firstcome demo`: a small shop with users, products, coupons and sales.
package struct SampleData {
    private let store: TransactionalStore
    private let now: Instant

    package static let users = 1_000
    package static let products: [(name: String, price: Int64, stock: Int64)] = [
        ("제주 감귤 5kg", 19_900, 500), ("무선 이어폰", 89_000, 120), ("보온 텀블러 500ml", 24_500, 300), ("순면 반팔 티셔츠", 15_900, 800),
        ("한우 불고기 600g", 42_000, 150), ("캠핑 의자", 39_900, 90), ("기계식 키보드", 129_000, 60), ("수분 크림 50ml", 27_800, 400),
        ("강아지 사료 2kg", 33_000, 200), ("김치 3kg", 28_900, 250), ("요가 매트", 21_000, 180), ("블루투스 스피커", 64_900, 75),
    ]
    private static let surnames = ["김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"]
    private static let givenNames = ["민준", "서연", "도윤", "지우", "하준", "서윤", "예준", "지민", "수아", "현우"]

    /// The sales: the product's index in ``products``, how many days ago, and the units.
    private static let sales: [(product: Int, daysAgo: Int64, units: Int64)] = [
        (0, 0, 12), (0, 1, 9), (1, 0, 4), (1, 2, 6), (2, 1, 15), (4, 0, 3), (4, 1, 5), (5, 2, 2), (7, 0, 7), (9, 1, 11), (9, 2, 4),
    ]

    /// - Parameter store: must be empty.
    package init(store: TransactionalStore, now: Instant) { (self.store, self.now) = (store, now) }

    /// Writes the sample data.
    package func fill() async throws {
        try await withThrowingTaskGroup { group in
            for index in 0..<Self.users {
                group.addTask { _ = try await store.createUser(name: Self.name(index), in: .at(now)) }
            }
            try await group.waitForAll()
        }
        var products: [Product] = []
        for product in Self.products {
            products.append(
                try value(await store.createProduct(name: product.name, price: Won(product.price), stock: product.stock, in: .at(now))))
        }
        try await makeCoupons()
        try await sell(products)
    }

    private static func name(_ index: Int) -> String {
        surnames[index % surnames.count] + givenNames[index / surnames.count % givenNames.count]
    }

    private func makeCoupons() async throws {
        var terms = CampaignTerms(
            name: "선착순 100명 5,000원 할인", discount: .fixed(amount: Won(5_000)), quantity: 100, opensAt: now, closesAt: nil,
            validForSeconds: Bounds.defaultCouponValidity, minOrderAmount: Won(10_000), restoreOnRefund: true)
        _ = try value(await store.createCampaign(terms, in: .at(now)))
        terms.name = "내일 열리는 20% 할인"
        terms.discount = .percent(20, maxAmount: Won(30_000))
        terms.opensAt = now.advanced(byMilliseconds: 86_400_000) ?? now
        terms.quantity = 1_000
        _ = try value(await store.createCampaign(terms, in: .at(now)))
    }

    /// The last users buy, so that the first ones still have no balance, orders or coupons.
    private func sell(_ products: [Product]) async throws {
        for (index, sale) in Self.sales.enumerated() {
            let buyer = UserID(Int64(Self.users - index))
            guard let day = now.advanced(byMilliseconds: -sale.daysAgo * 86_400_000) else { continue }
            _ = try value(await store.charge(userID: buyer, amount: Won(1_000_000), in: .at(day)))
            let item = RequestedItem(productID: products[sale.product].id, quantity: sale.units)
            _ = try value(await store.checkout(userID: buyer, items: [item], issuedCouponID: nil, in: .at(day)))
        }
    }

    private func value<Value>(_ result: WriteResult<Value>) throws -> Value {
        guard case .done(let value) = result else { throw CommandError("the sample data was refused: \(result)") }
        return value
    }
}
