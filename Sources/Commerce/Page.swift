/// One page of a list.
package struct Page<Item: Sendable>: Sendable {
    package let items: [Item]
    /// Where the next page starts; `nil` on the last one. Opaque to clients.
    package let nextCursor: String?

    package init(items: [Item], nextCursor: String?) {
        (self.items, self.nextCursor) = (items, nextCursor)
    }
}

/// Which page of a list is wanted.
package struct PageRequest: Sendable, Hashable {
    package static let limits = 1...100
    package static let defaultLimit = 20

    package let limit: Int
    package let cursor: String?

    package init(limit: Int = PageRequest.defaultLimit, cursor: String? = nil) {
        (self.limit, self.cursor) = (limit, cursor)
    }
}
