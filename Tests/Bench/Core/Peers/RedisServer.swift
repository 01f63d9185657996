import LuaScripts
import TestSupport

extension TemporaryRedis {
    /// `used_memory` of `INFO memory`, in bytes.
    func usedMemory() throws -> Int64 {
        let line = try cli("INFO", "memory").split { $0.isNewline }.first { $0.hasPrefix("used_memory:") }
        guard let bytes = line.flatMap({ Int64($0.dropFirst("used_memory:".count)) }) else {
            throw BenchFailure("Redis does not say how much memory it uses")
        }
        return bytes
    }

    /// Loads the script of a claim, as the service does, and returns its digest.
    func loadClaimScript() throws -> String {
        let digest = try cli("SCRIPT", "LOAD", LuaScripts.claimCoupon)
        guard digest.wholeMatch(of: /[0-9a-f]{40}/) != nil else { throw BenchFailure("SCRIPT LOAD answered \(digest)") }
        return digest
    }
}

/// A gate that the service does not use, for peers that claim without the service.
struct PeerGate {
    let redis: TemporaryRedis
    let keys = ("peer:{1}", "peer:{1}:claims")
    /// A store's name, as long as that of the service's store.
    static let store = "peerpeerpeerpeer:1795300182372"

    /// Opens the gate without claims.
    func open() throws {
        try redis.cli("UNLINK", keys.0, keys.1)
        try redis.cli(
            "HSET", keys.0, "state", "open", "remaining", "1000000000", "sequence", "0", "opensAt", "1", "closesAt", "0", "epoch", "1",
            "quantity", "1000000000", "store", Self.store)
    }

    /// How many claims it has granted since it was opened.
    func claimed() throws -> Int { Int(try redis.cli("HGET", keys.0, "sequence")) ?? 0 }

    func remove() throws { try redis.cli("UNLINK", keys.0, keys.1) }
}
