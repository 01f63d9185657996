/// The products and campaigns of the present round.
struct Catalogue: Sendable {
    struct Product: Sendable {
        let id: Int64
        let price: Int64
        /// The stock that it was created with.
        let stock: Int64
    }

    var products: [Product] = []
    /// The open campaigns, with the quantities that were last set.
    var campaigns: [Int64: Int64] = [:]
    /// The campaigns of this round.
    var currentCampaigns: [Int64] = []
}
