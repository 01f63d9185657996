import HTTPServer

/// One route as `openapi.json` describes it: its path, who may use it, and what it can refuse. Its handler is in ``Route``.
final class Endpoint: Sendable {
    /// Who may use a route.
    enum Rule: Sendable {
        /// Everybody; a token is ignored.
        case open
        /// A user, for themselves; not an admin.
        case user
        /// An admin alone.
        case admin
        /// The user whom the path's `{userId}` names, or an admin. The user exists.
        case selfOrAdmin
        /// The user who owns what the path names, which the handler checks, or an admin.
        case ownerOrAdmin
    }

    let method: HTTPMethod
    let template: String
    /// The names of the path's parameters, in the order of the template.
    let parameterNames: [String]
    /// The name of the operation in the OpenAPI document.
    let operationID: String
    let rule: Rule
    /// The path of the resource that a success creates; `nil` where it has no path of its own.
    let location: ResourceLocation?
    /// The refusals of this route besides those of every route of its kind; see ``allRefusals``.
    let refusals: [ProblemCode]
    /// Whether the answer is stored when the request has an `Idempotency-Key`.
    let acceptsIdempotencyKey: Bool
    /// Whether the route reads a JSON body.
    let readsBody: Bool
    /// Whether only operators need the route, beside those of ``Rule/admin``.
    private let isForOperators: Bool
    /// Which work a request makes, see ``LoadShedding``.
    let work: WorkClass
    /// Whether requests are charged to their clients, see ``RequestLimiter``: all but those by which the service is watched.
    let isLimited: Bool
    /// The kind of stream that the route answers with; nil for whole answers.
    let stream: StreamKind?

    init(
        _ method: HTTPMethod, _ template: String, _ operationID: String, _ rule: Rule, readsBody: Bool? = nil,
        acceptsIdempotencyKey: Bool? = nil, location: ResourceLocation? = nil, refusals: [ProblemCode] = [], isForOperators: Bool = false,
        stream: StreamKind? = nil
    ) {
        self.stream = stream
        self.isForOperators = isForOperators
        self.method = method
        self.template = template
        parameterNames = Router.parameterNames(of: template)
        self.operationID = operationID
        self.rule = rule
        self.location = location
        self.refusals = refusals
        self.readsBody = readsBody ?? (method == .post || method == .patch)
        self.acceptsIdempotencyKey = acceptsIdempotencyKey ?? (method == .post)
        work = WorkClass(operationID: operationID)
        isLimited = !["getHealth", "getReadiness", "getMetrics"].contains(operationID)
    }

    /// Whether a listener serves the route.
    func isServed(by listener: ListenerRole) -> Bool {
        switch listener {
        case .everybody: true
        case .clients: rule != .admin && !isForOperators
        // An admin reads products and campaigns too: a conditional PATCH needs their entity tags.
        case .operators: rule != .user
        }
    }

    /// Every code an answer of this route may carry.
    var allRefusals: Set<ProblemCode> {
        var codes: Set<ProblemCode> = [
            .invalidRequest, .payloadTooLarge, .tooManyRequests, .headersTooLarge, .internal, .temporarilyUnavailable,
        ]
        codes.formUnion(refusals)
        if readsBody { codes.insert(.unsupportedMediaType) }
        if acceptsIdempotencyKey { codes.formUnion([.idempotencyKeyInUse, .idempotencyKeyReused]) }
        switch rule {
        case .open: break
        case .admin: codes.formUnion([.unauthenticated, .forbidden])
        // A valid token may name a user whom the store does not have.
        case .user, .selfOrAdmin, .ownerOrAdmin: codes.formUnion([.unauthenticated, .forbidden, .userNotFound])
        }
        return codes
    }
}
