package import Redis
package import Store

/// Ensures that a service only uses a Redis that serves its store, in its present incarnation.
///
/// The key `ranking:{sales}:store` names the store that a Redis serves, and each gate names the store that built it. Every handshake
/// compares the name (`lua/admit_store.lua`). Without admission there is no connection: claims are answered 503, and requests that need no
/// Redis are served. If the name changes while a service is connected, the scripts that decide claims and count sales refuse, and the next
/// check closes the connections.
package enum StoreAdmission {
    /// The kind of client that asks for admission.
    package enum Role: Sendable {
        /// Writes the store's name into a Redis that serves no store.
        ///
        /// A Redis with counted events but no name may have been used by an earlier version of the service. It is admitted only for a store
        /// without incarnations, which may be that version's store; for any other store the events are those of another one.
        case service
        /// Reads and repairs, and writes no name into a Redis that serves no store.
        case tool
    }

    /// The script call by which a client's handshake asks for admission.
    package static func admission(of store: StoreIdentity, as role: Role) -> RedisAdmission {
        let (name, writes): (RedisArgument, RedisArgument) = (.string(store.description), role == .service ? 1 : 0)
        let ownsUnnamed: RedisArgument = store.incarnation == 0 ? 1 : 0
        // A Redis that has admitted this client before and has no name now has lost its data, so it is admitted again.
        return RedisAdmission(
            Scripts.admitStore, keys: keys, arguments: [name, ownsUnnamed, writes], renewing: [name, 1, writes]
        ) { reply in
            refusal(reply, of: store)
        }
    }

    private static let keys: [RedisArgument] = [.string(RedisKeys.store), .string(RedisKeys.applied)]

    /// Why the store must not use a Redis with this reply; nil where it may.
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

    /// Checks that the connected Redis still serves the store. Otherwise closes its connections and throws.
    static func check(_ redis: RedisClient) async throws {
        guard let refusal = try await redis.configuration.admission?.ask(redis) else { return }
        redis.reconnect(because: refusal)
        throw foreign(redis, refusal.message)
    }

    /// Closes the connections to a Redis whose scores were found to be of another store. The next handshake finds out which one.
    ///
    /// - Returns: the error for the caller to throw.
    static func closeConnections(to redis: RedisClient) -> ServiceError {
        let message = "its scores are of another store"
        redis.reconnect(because: RedisError(.notAdmitted, message))
        return foreign(redis, message)
    }

    static func foreign(_ redis: RedisClient, _ message: String) -> ServiceError {
        ServiceError(.foreignRedis, "the Redis at \(redis.configuration.endpoint) must not be used: \(message)")
    }
}
