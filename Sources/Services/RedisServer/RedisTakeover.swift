package import Logging
package import NIOCore
package import Redis
package import Store

/// Makes a Redis that served another store, or another incarnation of one, serve this store from now on.
///
/// The gates and the ranking of the other store are removed; recovery and relay rebuild them from this store. The stream
/// `events:{orders}` is kept, because its events have already been published, and so are the keys of other programs.
package struct RedisTakeover: Sendable {
    private let store: StoreIdentity
    private let endpoint: RedisEndpoint
    private let group: any EventLoopGroup
    private let logger: Logger

    private static let keysPerScan: Int64 = 1_000
    /// How often the connected clients are listed, and the pause in between. A service that Redis does not admit is connected only for
    /// moments, so it is not in every list.
    private static let looks = 4
    private static let pause: Duration = .milliseconds(500)

    package init(by store: StoreIdentity, of endpoint: RedisEndpoint, on group: any EventLoopGroup, logger: Logger) {
        (self.store, self.endpoint, self.group, self.logger) = (store, endpoint, group, logger)
    }

    /// The store that a Redis serves.
    package enum Owner: Sendable, Equatable {
        /// It serves no store and holds no sales of one.
        case none
        /// It holds the sales of a store, but no name of it: a version without store names wrote them.
        case unnamed
        /// The name of a store, as `StoreIdentity` writes it.
        case named(String)

        /// What an operator passes as `--from` to take the Redis over; nil where nothing is needed.
        package var name: String? {
            switch self {
            case .none: nil
            case .unnamed: "unnamed"
            case .named(let text): text
            }
        }

        /// The owner in words, for messages.
        package var words: String {
            switch self {
            case .none: "no store"
            case .unnamed: "a store of an earlier version, which left no name"
            case .named(let text): StoreIdentity.words(text)
            }
        }
    }

    /// Reads which store the Redis serves.
    package func owner() async throws -> Owner { try await connected { try await owner($0) } }

    /// Takes a private Redis over where it serves another store or incarnation. No confirmation is needed, because it belongs to this data
    /// folder alone.
    package func takePrivate() async throws {
        try await connected { redis in
            let owner = try await owner(redis)
            switch owner {
            case .none: return
            case .unnamed where store.incarnation == 0: return
            case .named(let name) where name == store.description: return
            case .unnamed, .named: break
            }
            let removed = try await take(redis)
            logger.notice(
                "the private Redis served \(owner.words); it is rebuilt from \(store.words)", metadata: ["keysRemoved": "\(removed)"])
        }
    }

    /// Takes over a Redis that is not private.
    ///
    /// - Parameter expected: the store that the operator expects it to serve, as ``Owner/name``.
    /// - Returns: how many keys were removed.
    /// - Throws: `ServiceError` with code `foreignRedis` where it serves another store than expected, or where a service is connected.
    package func take(from expected: String?) async throws -> Int {
        try await connected { redis in
            try await RedisSuitability.check(redis)
            let owner = try await owner(redis)
            if case .named(store.description) = owner { return 0 }
            guard owner.name == expected else {
                let argument = owner.name.map { "pass --from \($0)" } ?? "leave --from out"
                throw ServiceError(
                    .foreignRedis, "the Redis at \(endpoint) serves \(owner.words); to have it serve \(store.words), \(argument)")
            }
            guard try await services(redis).isEmpty else {
                throw ServiceError(.foreignRedis, "a service is connected to the Redis at \(endpoint): stop it first")
            }
            return try await take(redis)
        }
    }
}

// MARK: - Steps

extension RedisTakeover {
    /// Runs `body` with a client that does not ask for admission, so that it can connect to any store's Redis.
    private func connected<Value: Sendable>(_ body: (RedisClient) async throws -> Value) async throws -> Value {
        var configuration = RedisConfiguration(endpoint: endpoint, scripts: Scripts.all)
        configuration.clientName = "firstcome-tool"
        configuration.commandDeadline = .seconds(30)
        let redis = RedisClient(configuration: configuration, eventLoopGroup: group, logger: logger)
        redis.start()
        let result: Result<Value, any Error>
        do { result = .success(try await body(redis)) } catch { result = .failure(error) }
        await redis.close()
        return try result.get()
    }

    private func owner(_ redis: RedisClient) async throws -> Owner {
        let replies = try await redis.pipeline(
            [RedisKeys.store, RedisKeys.applied].map { RedisCommand("GET", .string($0), isRepeatable: true) })
        if let name = replies[0].string { return .named(name) }
        if case .error(let error) = replies[0] {
            guard error.kind == .wrongType else { throw RedisError(error) }
            return .unnamed
        }
        // The offset 0 is that of a store without sales, so there is nothing to protect.
        return replies[1].string.map { $0 == "0" ? .none : .unnamed } ?? .none
    }

    /// The connections of services that are in every list, of all primaries of a cluster. A service that Redis does not admit reconnects again and again, and each of its
    /// connections is in one list at most.
    private func services(_ redis: RedisClient) async throws -> Set<String> {
        var lasting: Set<String>?
        for look in 0..<Self.looks {
            if look > 0 { try await Task.sleep(for: Self.pause) }
            var found: Set<String> = []
            for primary in try await redis.primaries() {
                let list = try await redis.send(RedisCommand("CLIENT", "LIST", isRepeatable: true), to: primary).string ?? ""
                for line in list.split(separator: "\n") where line.contains(" name=firstcome ") {
                    found.insert("\(primary) \(line.prefix { $0 != " " })")
                }
            }
            lasting = found.intersection(lasting ?? found)
            if lasting?.isEmpty == true { break }
        }
        return lasting ?? []
    }

    /// Removes the other store's keys and writes this store's name.
    ///
    /// Until the last step the name is that of no store, so no service is admitted while keys are removed. After a crash in between, the
    /// operator repeats the takeover.
    private func take(_ redis: RedisClient) async throws -> Int {
        let name = RedisArgument.string(RedisKeys.store)
        _ = try await redis.send(RedisCommand("SET", name, .string("being taken over by \(store)"), isRepeatable: true))
        var removed = 0
        for primary in try await redis.primaries() { removed += try await removeKeys(of: primary, redis) }
        _ = try await redis.send(RedisCommand("SET", name, .string(store.description), isRepeatable: true))
        return removed
    }

    /// Removes the keys of gates and ranking that one server holds.
    private func removeKeys(of primary: RedisPrimary, _ redis: RedisClient) async throws -> Int {
        var (cursor, removed) = ("0", 0)
        repeat {
            let scan = RedisCommand("SCAN", .string(cursor), "COUNT", .integer(Self.keysPerScan), isRepeatable: true)
            let reply = try await redis.send(scan, to: primary)
            guard let page = reply.array, page.count == 2, let next = page[0].string else {
                throw ServiceError(.internal, "SCAN gave a reply of unknown form")
            }
            let keys = (page[1].array ?? []).compactMap(\.string).filter(RedisKeys.isRebuiltFromStore)
            if !keys.isEmpty {
                let replies = try await redis.pipeline(keys.map { RedisCommand("UNLINK", .string($0), isRepeatable: true) })
                for case .error(let error) in replies { throw RedisError(error) }
                removed += keys.count
            }
            cursor = next
        } while cursor != "0"
        return removed
    }
}
