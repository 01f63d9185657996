import TestSupport

/// Refused claims with more and more campaigns, all of them sold out; the claims are for all of them in turn.
struct CampaignCurve: GrowthCurve {
    let title = "claim refused, many campaigns"
    let unit = "campaigns"

    func sizes(isQuick: Bool) -> [Int] { isQuick ? [1, 100, 2_000] : [1, 100, 10_000] }

    func fill(_ store: GrownStore, size: Int) throws {
        try store.addSoldOutCampaigns(size, claims: 1, users: 1 + RefusedClaims.people)
    }

    func stage(_ shop: Shop, size: Int, _ settings: BenchSettings) async throws -> GrowthMeasure {
        try await RefusedClaims(shop, campaigns: size, winners: 1).measure(settings)
    }
}

/// Refused claims of one campaign that has issued more and more coupons.
struct ClaimCurve: GrowthCurve {
    let title = "claim refused, many earlier claims"
    let unit = "earlier claims"

    /// At least one earlier claim, because a campaign without claims is not sold out.
    func sizes(isQuick: Bool) -> [Int] { isQuick ? [1, 10_000, 100_000] : [1, 100_000, 1_000_000] }

    func fill(_ store: GrownStore, size: Int) throws {
        try store.addSoldOutCampaigns(1, claims: size, users: size + RefusedClaims.people)
    }

    func stage(_ shop: Shop, size: Int, _ settings: BenchSettings) async throws -> GrowthMeasure {
        try await RefusedClaims(shop, campaigns: 1, winners: size).measure(settings)
    }
}

/// Claims by users who are too late for all campaigns.
private struct RefusedClaims {
    let shop: Shop
    let file: RequestFile

    static let people = 1_000
    private static let requests = 20_000

    /// - Parameter winners: users with lower ids than those who claim now.
    init(_ shop: Shop, campaigns: Int, winners: Int) async throws {
        self.shop = shop
        let tokens = try await shop.tokens(from: winners + 1, to: winners + Self.people)
        file = try RequestFile(
            (0..<Self.requests).lazy.map { number in
                // A prime step, so that each campaign gets many users and consecutive users claim from different campaigns.
                let campaign = 1 + number * 7_919 % campaigns
                return RequestText(
                    method: "POST", path: "/api/v1/coupons/\(campaign)/claims", token: tokens[1 + number % Self.people])
            }, in: shop.folder.path)
    }

    func measure(_ settings: BenchSettings) -> GrowthMeasure {
        let load = ServiceLoad(shop: shop, method: "POST", route: "/api/v1/coupons/{couponId}/claims", expected: "4xx")
        return { [file] _ in try await load.run(file, .seconds(settings.growthSeconds)) }
    }
}
