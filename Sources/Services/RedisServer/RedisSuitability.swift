package import Redis

/// Checks whether a Redis server, or each primary of a cluster, may hold gates and scores.
package enum RedisSuitability {
    /// `ZMSCORE` and `ZRANGE ... BYSCORE` came with Redis 6.2.
    static let leastVersion = [6, 2]

    /// Checks version, role and eviction policy, and then that the Redis serves this store.
    ///
    /// - Throws: `ServiceError` with code `unsuitableRedis` or `foreignRedis` and a message of one line where the server must not be used;
    ///   `RedisError` where it does not answer. Of a cluster, primaries that do not answer are not checked; the next check finds them.
    package static func check(_ redis: RedisClient) async throws {
        let answers: [(primary: RedisPrimary, info: RedisInfo)]
        do {
            answers = try await information(redis)
        } catch {
            // The handshake has refused the server, or the server has refused the handshake, so there is no connection.
            let cause = error.code == .notConnected ? error.cause as? RedisError ?? error : error
            if cause.code == .notAdmitted { throw StoreAdmission.foreign(redis, cause.message) }
            guard let reason = refusal(cause) else { throw error }
            throw unsuitable(redis, reason)
        }
        let isCluster = redis.configuration.endpoint.isCluster
        for (primary, info) in answers {
            // A node that became a replica a moment ago sends its clients to the new primary, which the next check finds.
            if isCluster, isReplica(info) { continue }
            guard let fault = fault(in: info, isCluster: isCluster) else { continue }
            // Redis keeps its clients' connections when it becomes a replica. Reconnect, so that the handshake refuses it.
            if isReplica(info) { redis.reconnect(because: RedisError(.notPrimary, fault)) }
            throw unsuitable(redis, isCluster ? "of \(primary), \(fault)" : fault)
        }
        try await StoreAdmission.check(redis)
    }

    /// `INFO` of each primary that answers.
    private static func information(_ redis: RedisClient) async throws(RedisError) -> [(primary: RedisPrimary, info: RedisInfo)] {
        var answers: [(primary: RedisPrimary, info: RedisInfo)] = []
        var failure: RedisError?
        for (primary, answer) in try await redis.sendToEveryPrimary(RedisCommand("INFO", isRepeatable: true)) {
            switch answer {
            case .success(let reply): answers.append((primary, RedisInfo(text: reply.string ?? "")))
            case .failure(let error): failure = failure ?? error
            }
        }
        if answers.isEmpty, let failure { throw failure }
        return answers
    }

    /// Settings of a cluster, or of a primary that Sentinels watch, that make a failure worse than it has to be: their names, with a line
    /// for each.
    static func advice(_ redis: RedisClient) async -> [String: String] {
        let settings: [(name: String, unwanted: String, advice: String)]
        switch redis.configuration.endpoint.address {
        case .tcp, .unix: return [:]
        case .sentinel: settings = [replicated]
        case .cluster: settings = [partlyAvailable, replicated]
        }
        var lines: [String: String] = [:]
        for (name, unwanted, advice) in settings {
            let question = RedisCommand("CONFIG", "GET", .string(name), isRepeatable: true)
            // Where a user may not ask, there is no advice.
            let answers = (try? await redis.sendToEveryPrimary(question)) ?? []
            let places = answers.filter { (try? $0.answer.get())?.array?.last?.string == unwanted }.map(\.primary.description)
            if !places.isEmpty { lines[name] = "\(name) is \(unwanted) at \(places.joined(separator: ", ")): \(advice)" }
        }
        return lines
    }

    private static let partlyAvailable = (
        name: "cluster-require-full-coverage", unwanted: "yes",
        advice: "while one primary and its replicas are away, no campaign can be claimed; set it to no"
    )
    private static let replicated = (
        name: "min-replicas-to-write", unwanted: "0",
        advice: "a primary that is cut off from its replicas goes on granting coupons, which a failover forgets; set it to 1"
    )

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
    package static func fault(in info: RedisInfo, isCluster: Bool = false) -> String? {
        guard let version = info.version, !version.isEmpty else { return "it does not say its version" }
        if version.lexicographicallyPrecedes(leastVersion) {
            return "its version is \(info["redis_version"] ?? "unknown"), and 6.2 or later is needed"
        }
        if isReplica(info) { return "it is a replica" }
        if info["cluster_enabled"] == "1", !isCluster { return "it is a node of a cluster, which a URL with redis+cluster:// names" }
        let policy = info["maxmemory_policy"] ?? "unknown"
        if policy != "noeviction" {
            return "its maxmemory-policy is \(policy), which may evict coupons; set it to noeviction"
        }
        return nil
    }
}
