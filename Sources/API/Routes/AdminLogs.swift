import Commerce
import HTTPServer
import Store

/// The handler by which admins read what admins did.
enum AdminLogs {
    static let list: Route.IdentityHandler = { call, _ in
        .cancellableTask {
            let (filter, request) = try call.query { (AdminLogFilter(&$0), $0.page()) }
            let page = try await call.store.adminLog(filter, page: request)
            return .page(page, .personal) { $0.write($1) }
        }
    }
}

extension AdminLogFilter {
    /// The query of GET `/admin/log`.
    init(_ query: inout QueryReader) {
        self.init(actor: query.text("actor", maximumLength: 255), object: query.text("object", maximumLength: 64))
    }
}
