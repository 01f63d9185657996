import Commerce
import HTTPServer
import NIOCore
import Services

/// What a request was charged to, and how much is left there.
struct RateLimitStanding: Sendable {
    var address: RateLimit.Level?
    var user: RateLimit.Level?
}

/// The buckets in memory, which all event loops share.
struct ClientBuckets: Sendable {
    let limits: RequestLimits
    let addresses: TokenBuckets?
    let users: TokenBuckets?

    /// Nil where clients are not limited.
    init?(_ limits: RequestLimits) {
        guard limits.limitsClients else { return nil }
        self.limits = limits
        addresses = limits.address.map { TokenBuckets($0) }
        users = limits.user.map { TokenBuckets($0) }
    }
}

/// Charges the requests of one event loop to the buckets of their clients, and renders what an answer says about them.
///
/// Safety of `Sendable`: ``shared`` checks that it is used on its event loop; everything else never changes.
final class RequestLimiter: Sendable {
    /// The buckets that several services share; nil where each service counts alone.
    let shared: SharedTokenBuckets?
    private let buckets: ClientBuckets
    /// The `RateLimit-Policy` field as a whole line.
    private let policy: ByteBuffer
    private let addressRefusal = Problem(code: .tooManyRequests, detail: "This address makes requests faster than it may.").response
    private let userRefusal = Problem(code: .tooManyRequests, detail: "This user makes requests faster than they may.").response

    init(_ buckets: ClientBuckets, shared: SharedTokenBuckets?) {
        (self.buckets, self.shared) = (buckets, shared)
        let policies = [("address", buckets.limits.address), ("user", buckets.limits.user)].compactMap { name, limit in
            limit.map { "\"\(name)\";q=\($0.burst);w=\(($0.window + 999_999_999) / 1_000_000_000)" }
        }
        policy = ByteBuffer(string: "ratelimit-policy: \(policies.joined(separator: ", "))\r\n")
    }

    /// Which network a request comes from.
    func network(of request: HTTPRequest) -> IPAddress {
        buckets.limits.trustedProxies.client(of: request).customerNetwork
    }

    /// The name of a network's bucket in Redis; nil where addresses are not limited.
    func sharedName(of network: IPAddress) -> String? { buckets.addresses == nil ? nil : network.description }

    /// The user whose bucket in Redis is charged; nil where users are not limited.
    func sharedUser(_ authentication: Authentication?) -> UserID? {
        guard buckets.users != nil, case .authenticated(.user(let id))? = authentication else { return nil }
        return id
    }

    /// Charges a request to its address; the refusal where the bucket is empty.
    func charge(_ network: IPAddress, at now: NIODeadline, _ standing: inout RateLimitStanding) -> HTTPResponse? {
        standing.address = buckets.addresses?.take(TokenBuckets.Key(network.high, network.low), at: Int64(now.uptimeNanoseconds))
        return refusal(standing)
    }

    /// Charges a request to its user; the refusal where the bucket is empty. Admins have no bucket.
    func charge(_ identity: Identity, at now: NIODeadline, _ standing: inout RateLimitStanding) -> HTTPResponse? {
        guard let users = buckets.users, case .user(let id) = identity else { return nil }
        standing.user = users.take(TokenBuckets.Key(0, UInt64(id.rawValue)), at: Int64(now.uptimeNanoseconds))
        return refusal(standing)
    }

    /// Charges a request to a user who became known after its address had paid. What the answer says of the address is added later, and the
    /// policies with it.
    func chargeLate(_ identity: Identity, at now: NIODeadline) -> HTTPResponse? {
        guard let users = buckets.users, case .user(let id) = identity else { return nil }
        let level = users.take(TokenBuckets.Key(0, UInt64(id.rawValue)), at: Int64(now.uptimeNanoseconds))
        guard level.isRefused else { return nil }
        let standing = RateLimitStanding(address: nil, user: level)
        return userRefusal.adding(
            fields: fields(standing, retryAfter: level.secondsUntilNext, namesPolicies: buckets.addresses == nil))
    }

    /// The 429 of a client whose bucket is empty; nil for others.
    func refusal(_ standing: RateLimitStanding) -> HTTPResponse? {
        if let address = standing.address, address.isRefused {
            return addressRefusal.adding(fields: fields(standing, retryAfter: address.secondsUntilNext))
        }
        if let user = standing.user, user.isRefused {
            return userRefusal.adding(fields: fields(standing, retryAfter: user.secondsUntilNext))
        }
        return nil
    }

    /// An answer with the fields that say what its client may still do; unchanged where no bucket was charged.
    func adding(_ standing: RateLimitStanding, to response: HTTPResponse) -> HTTPResponse {
        guard standing.address != nil || standing.user != nil else { return response }
        return response.adding(fields: fields(standing, retryAfter: nil))
    }

    /// `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11: `r` requests may come within the next `t`
    /// seconds.
    private func fields(_ standing: RateLimitStanding, retryAfter: Int64?, namesPolicies: Bool = true) -> ByteBuffer {
        var fields = ByteBuffer()
        fields.reserveCapacity(192)
        if namesPolicies { fields.writeImmutableBuffer(policy) }
        fields.writeStaticString("ratelimit: ")
        if let address = standing.address {
            fields.writeStaticString("\"address\"")
            fields.writeLevel(address)
            if standing.user != nil { fields.writeStaticString(", ") }
        }
        if let user = standing.user {
            fields.writeStaticString("\"user\"")
            fields.writeLevel(user)
        }
        fields.writeStaticString("\r\n")
        if let retryAfter {
            fields.writeStaticString("retry-after: ")
            fields.writeDecimal(Int(retryAfter))
            fields.writeStaticString("\r\n")
        }
        return fields
    }
}

extension ByteBuffer {
    fileprivate mutating func writeLevel(_ level: RateLimit.Level) {
        writeStaticString(";r=")
        writeDecimal(Int(level.remaining))
        writeStaticString(";t=")
        writeDecimal(Int(level.secondsUntilNext))
    }
}
