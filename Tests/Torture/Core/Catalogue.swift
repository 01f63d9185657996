/// The products and campaigns of the moment.
struct Catalogue: Sendable {
    struct Product: Sendable {
        let id: Int64
        let price: Int64
        /// Units it was made with.
        let stock: Int64
    }

    var products: [Product] = []
    /// Campaigns and their quantities as last told.
    var campaigns: [Int64: Int64] = [:]
    /// The campaigns of this round.
    var currentCampaigns: [Int64] = []
}
