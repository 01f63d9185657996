package import Redis

/// Checks whether a Redis server may hold gates and scores.
package enum RedisSuitability {
    /// `ZMSCORE` and `ZRANGE ... BYSCORE` came with Redis 6.2.
    static let leastVersion = [6, 2]

    /// Checks version, role and eviction policy, and then that the Redis serves this store.
    ///
    /// - Throws: `ServiceError` with code `unsuitableRedis` or `foreignRedis` and a message of one line where the server must not be used;
    ///   `RedisError` where it does not answer.
    package static func check(_ redis: RedisClient) async throws {
        let info: RedisInfo
        do {
            info = RedisInfo(text: try await redis.send(RedisCommand("INFO", isRepeatable: true)).string ?? "")
        } catch {
            // The handshake has refused the server, or the server has refused the handshake, so there is no connection.
            let cause = error.code == .notConnected ? error.cause as? RedisError ?? error : error
            if cause.code == .notAdmitted { throw StoreAdmission.foreign(redis, cause.message) }
            guard let reason = refusal(cause) else { throw error }
            throw unsuitable(redis, reason)
        }
        guard let fault = fault(in: info) else { return try await StoreAdmission.check(redis) }
        // Redis keeps its clients' connections when it becomes a replica. Reconnect, so that the handshake refuses it.
        if isReplica(info) { redis.reconnect(because: RedisError(.notPrimary, fault)) }
        throw unsuitable(redis, fault)
    }

    /// Why the service and the server cannot work together as they are configured; nil where the server is away, or not ready yet.
    private static func refusal(_ error: RedisError) -> String? {
        switch error.code {
        case .notPrimary: error.message
        case .server(.authenticationRequired): "it asks for a password; name a file with it by --redis-password-file"
        case .server(.wrongPassword): "it refuses the user or the password; see --redis and --redis-password-file"
        case .server(.notPermitted): "its user lacks a permission, which ACL SETUSER gives: \(error.message)"
        // Of the handshake's commands, AUTH and SELECT fail so: there is no such database, or a password where none is set.
        case .server(.other("ERR")): "\(error.message); see --redis and --redis-password-file"
        case .protocolViolation: "what listens there does not speak as a Redis does: \(error.message); see --redis"
        case .misconfigured: error.message
        case .server, .overloaded, .timedOut, .unknownOutcome, .notConnected, .closed, .cancelled, .notAdmitted: nil
        }
    }

    private static func unsuitable(_ redis: RedisClient, _ fault: String) -> ServiceError {
        ServiceError(.unsuitableRedis, "the Redis at \(redis.configuration.endpoint) cannot be used: \(fault)")
    }

    private static func isReplica(_ info: RedisInfo) -> Bool { info["role"].map { $0 != "master" } ?? false }

    /// Why a server with this `INFO` must not be used; `nil` for a suitable one.
    package static func fault(in info: RedisInfo) -> String? {
        guard let version = info.version, !version.isEmpty else { return "it does not say its version" }
        if version.lexicographicallyPrecedes(leastVersion) {
            return "its version is \(info["redis_version"] ?? "unknown"), and 6.2 or later is needed"
        }
        if isReplica(info) { return "it is a replica" }
        let policy = info["maxmemory_policy"] ?? "unknown"
        if policy != "noeviction" {
            return "its maxmemory-policy is \(policy), which may evict coupons; set it to noeviction"
        }
        return nil
    }
}
