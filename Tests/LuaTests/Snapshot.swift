import Redis
import Testing

/// Everything a Redis holds, as the commands that read it show it.
struct Snapshot: Equatable {
    enum Content: Equatable {
        case string(String)
        case hash([String: String])
        /// Scores by member, as Redis prints them.
        case sortedSet([String: String])
        /// A type that no script of ours writes.
        case foreign(type: String)
    }

    var keys: [String: Content] = [:]
    /// Seconds since the epoch, for the keys that expire.
    var expiries: [String: Int64] = [:]
}

extension LuaServer {
    func snapshot() async throws -> Snapshot {
        var snapshot = Snapshot()
        for case let key? in try #require(try await send("KEYS", "*").array).map(\.string) {
            snapshot.keys[key] = try await content(of: key)
            if let expiry = try await send("EXPIRETIME", .string(key)).integer, expiry >= 0 { snapshot.expiries[key] = expiry }
        }
        return snapshot
    }

    func content(of key: String) async throws -> Snapshot.Content {
        let type = try await send("TYPE", .string(key)).string ?? ""
        switch type {
        case "string": return .string(try await send("GET", .string(key)).string ?? "")
        case "hash": return .hash(Self.pairs(try await send("HGETALL", .string(key))))
        case "zset": return .sortedSet(Self.pairs(try await send("ZRANGE", .string(key), 0, -1, "WITHSCORES")))
        default: return .foreign(type: type)
        }
    }

    private static func pairs(_ reply: RedisValue) -> [String: String] {
        let words = (reply.array ?? []).map { $0.string ?? "" }
        return Dictionary(uniqueKeysWithValues: stride(from: 0, to: words.count - 1, by: 2).map { (words[$0], words[$0 + 1]) })
    }

    /// What `INFO` says under a name.
    func info(_ field: String) async throws -> String? {
        RedisInfo(text: try await send("INFO", "everything").string ?? "")[field]
    }

    /// Expects that `body` writes nothing: the same data (content, and Redis' own digest of it) and not one change that the server
    /// counted, not even one that was undone.
    func expectNothingWritten(sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async throws {
        let before = (try await snapshot(), try await send("DEBUG", "DIGEST").string, try await info("rdb_changes_since_last_save"))
        try await body()
        let after = (try await snapshot(), try await send("DEBUG", "DIGEST").string, try await info("rdb_changes_since_last_save"))
        #expect(before.0 == after.0, sourceLocation: sourceLocation)
        #expect(before.1 == after.1, sourceLocation: sourceLocation)
        #expect(before.2 != nil && before.2 == after.2, "changes counted by the server", sourceLocation: sourceLocation)
    }

    /// Puts a value of a type that no script expects at a key, whatever stood there.
    func put(_ type: ForeignType, at key: String) async throws {
        _ = try await send("DEL", .string(key))
        switch type {
        case .string: _ = try await send("SET", .string(key), "stranger")
        case .list: _ = try await send("RPUSH", .string(key), "stranger")
        case .set: _ = try await send("SADD", .string(key), "stranger")
        }
    }
}

enum ForeignType: CaseIterable {
    case string, list, set
}
