package import Commerce

/// An entry of the admin log.
package struct AdminLogEntry: Sendable, Equatable {
    package let id: Identifier<AdminLogEntry>
    package let at: Instant
    package let actor: String
    package let action: AdminAction
    package let requestID: String?

    package init(id: Identifier<AdminLogEntry>, at: Instant, actor: String, action: AdminAction, requestID: String?) {
        (self.id, self.at, self.actor, self.action, self.requestID) = (id, at, actor, action, requestID)
    }
}

/// Which entries of the admin log a list has; nil for all.
package struct AdminLogFilter: Sendable, Equatable {
    package var actor: String?
    package var object: String?

    package init(actor: String? = nil, object: String? = nil) { (self.actor, self.object) = (actor, object) }
}

extension TransactionalStore {
    /// The entries of the admin log, newest first.
    package func adminLog(_ filter: AdminLogFilter = AdminLogFilter(), page: PageRequest) async throws(StoreError) -> Page<AdminLogEntry> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .adminLog)
            let (bound, limit) = (try list.bound(page), page.limit + 1)
            let rows =
                switch (filter.actor, filter.object) {
                case (nil, nil): try db.all(Self.entries("id < ?"), bound, limit, read: Self.entry)
                case (let actor?, nil): try db.all(Self.entries("actor = ? AND id < ?"), actor, bound, limit, read: Self.entry)
                case (nil, let object?): try db.all(Self.entries("object = ? AND id < ?"), object, bound, limit, read: Self.entry)
                case (let actor?, let object?):
                    try db.all(Self.entries("actor = ? AND object = ? AND id < ?"), actor, object, bound, limit, read: Self.entry)
                }
            return list.page(rows, page) { $0.id.rawValue }
        }
    }

    private static func entries(_ condition: String) -> String {
        "SELECT id, at, actor, action, object, request_id, details FROM admin_log WHERE \(condition) ORDER BY id DESC LIMIT ?"
    }

    private static func entry(_ row: some RowColumns) -> AdminLogEntry {
        AdminLogEntry(
            id: row.id(0), at: row.instant(1), actor: row.text(2),
            action: AdminAction(row.text(3), on: row.text(4), details: row.text(6)), requestID: row.optionalText(5))
    }
}
