import HTTPServer
import Store

extension RequestDispatcher {
    /// Bytes of a body that is hashed on the event loop.
    private static let ordinaryBody = 64 * 1024

    /// Answers a request whose body may be a long list: the digest of a long one, which its idempotency key needs, is made away from the
    /// event loop.
    func replyToList(_ call: Call, _ admission: Admission, _ identity: Identity) throws -> HTTPAnswer {
        guard call.request.value(of: .idempotencyKey) != nil else { return try admission.reply(to: call) }
        guard call.request.bodyByteCount > Self.ordinaryBody else {
            guard let key = try IdempotencyKey(call.request, of: identity) else { return try admission.reply(to: call) }
            return try once(call, key, admission, identity)
        }
        return .task { [self] in
            let request = call.request
            let key = try await Task.detached { () throws -> IdempotencyKey? in try IdempotencyKey(request, of: identity) }.value
            guard let key else { return try await admission.reply(to: call).response() }
            return try await once(call, key, admission, identity).response()
        }
    }
}
