import Store

/// The ids that a group has taken from a sequence and not used yet.
struct NewIDs {
    private var ids: ArraySlice<Int64> = []

    init(_ ids: [Int64] = []) { self.ids = ids[...] }

    /// - Throws: `internal` where a use case adds more rows than its needs say.
    mutating func next(_ what: String) throws -> Int64 {
        guard let id = ids.popFirst() else { throw RowTable<Void>.miss("one more new \(what)") }
        return id
    }
}

/// The ids of the rows that a group may add.
struct GroupIDs {
    var transfers = NewIDs()
    var charges = NewIDs()
    var products = NewIDs()
    var campaigns = NewIDs()
    var issuedCoupons = NewIDs()
    var orders = NewIDs()
    var payments = NewIDs()
    var refunds = NewIDs()
    var events = NewIDs()
    var grants = NewIDs()
}
