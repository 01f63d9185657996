package import Redis
package import Store

/// Which store a Redis serves: `ranking:{sales}:store` says it, and each gate names the store that built it.
///
/// Every handshake asks (`lua/admit_store.lua`), so a service sends nothing to the Redis of another store or of another incarnation of its
/// own: claims are answered 503 and all that needs no Redis is served. Where the name changes while a service is connected, the scripts
/// that decide claims and count sales refuse, and the next look at the server gives its connections up.
package enum StoreAdmission {
    /// Who asks for admission.
    package enum Role: Sendable {
        /// Writes the store's name into a Redis that serves none. A store without incarnations may have served it with an earlier version,
        /// which left no name; for any other store counted events are those of another one.
        case service
        /// Looks and mends, and leaves a Redis that serves no store as it is.
        case tool
    }

    /// What the handshake of a client has to ask.
    package static func admission(of store: StoreIdentity, as role: Role) -> RedisAdmission {
        let (name, writes): (RedisArgument, RedisArgument) = (.string(store.description), role == .service ? 1 : 0)
        let ownsUnnamed: RedisArgument = store.incarnation == 0 ? 1 : 0
        // A Redis that has admitted this client and lost the name since then has forgotten it.
        return RedisAdmission(
            Scripts.admitStore, keys: keys, arguments: [name, ownsUnnamed, writes], renewing: [name, 1, writes]
        ) { reply in
            refusal(reply, of: store)
        }
    }

    private static let keys: [RedisArgument] = [.string(RedisKeys.store), .string(RedisKeys.applied)]

    /// Why the store must not use a Redis that answered so; nil where it may.
    private static func refusal(_ reply: RedisValue, of store: StoreIdentity) -> String? {
        let elements = reply.array ?? []
        switch elements.first?.integer.flatMap(AdmitStoreCode.init(rawValue:)) {
        case .admitted: return nil
        case .otherStore:
            return "it serves \(StoreIdentity.words(elements.last?.string ?? "")), and this is \(store.words)"
        case .unknownStore: return "it holds the sales of a store that has left no name, and this is \(store.words)"
        case nil: return "it does not say which store it serves"
        }
    }

    /// Asks a Redis that is connected whether it still serves the store. Where it does not, its connections are given up.
    static func check(_ redis: RedisClient) async throws {
        guard let refusal = try await redis.configuration.admission?.ask(redis) else { return }
        redis.reconnect(because: refusal)
        throw foreign(redis, refusal.message)
    }

    /// Gives up connections to a Redis whose scores were found to be of another store. The next handshake says whose.
    static func giveUp(_ redis: RedisClient) -> ServiceError {
        let message = "its scores are of another store"
        redis.reconnect(because: RedisError(.notAdmitted, message))
        return foreign(redis, message)
    }

    static func foreign(_ redis: RedisClient, _ message: String) -> ServiceError {
        ServiceError(.foreignRedis, "the Redis at \(redis.configuration.endpoint) must not be used: \(message)")
    }
}
