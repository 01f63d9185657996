import Synchronization

/// The token buckets of all clients in memory, shared by the event loops. Its size is fixed.
///
/// A bucket that is full is the same as none, so its place may be used for another client. While a set of places has only buckets that
/// are not full, the one that will be full first gives way. The set remembers that instant: whoever comes to it later starts with a
/// bucket no fuller than that. So a flood of clients makes neither the table grow, nor gives a client back what it has used.
///
/// The set of a client is chosen by a seeded hash. Sets are spread over shards with a lock each, which is held for a few dozen
/// instructions; loops meet at a lock only while they serve clients of the same shard in the same instant.
package final class TokenBuckets: Sendable {
    /// Who a bucket belongs to: the id of a user, or the two halves of an address.
    package struct Key: Hashable, Sendable {
        let high: UInt64
        let low: UInt64

        package init(_ high: UInt64, _ low: UInt64) { (self.high, self.low) = (high, low) }
    }

    private struct Bucket {
        var key = Key(0, 0)
        /// When the bucket is full, in nanoseconds of a steady clock; `Int64.min` where no client has this place.
        var full = Int64.min
        /// The last instant at which a request was charged. Loops read the clock before they come here, so a later request may bring an
        /// earlier instant; it counts as this one, or the bucket would seem emptier than it is.
        var charged = Int64.min
    }

    private struct Shard {
        var buckets: [Bucket]
        /// For each set the latest instant at which a bucket that gave way would have been full.
        var floors: [Int64]
    }

    private final class LockedShard: Sendable {
        let state: Mutex<Shard>

        init(sets: Int) {
            state = Mutex(
                Shard(
                    buckets: Array(repeating: Bucket(), count: sets * TokenBuckets.placesPerSet),
                    floors: Array(repeating: .min, count: sets)))
        }
    }

    package let limit: RateLimit
    private let shards: [LockedShard]
    private let setsPerShard: Int
    private let seed: (UInt64, UInt64)

    private static let placesPerSet = 8
    private static let shardCount = 64
    /// Room for 131,072 clients whose buckets are not full, in 4.1 MiB.
    package static let standardCapacity = 131_072

    /// - Parameter capacity: buckets in all; rounded up to 512 times a power of two.
    package init(_ limit: RateLimit, capacity: Int = TokenBuckets.standardCapacity) {
        self.limit = limit
        var sets = 1
        while sets * Self.placesPerSet * Self.shardCount < capacity { sets *= 2 }
        setsPerShard = sets
        shards = (0..<Self.shardCount).map { _ in LockedShard(sets: sets) }
        seed = (.random(in: 1 ... .max) | 1, .random(in: 1 ... .max) | 1)
    }

    /// The most buckets that the table holds.
    package var capacity: Int { shards.count * setsPerShard * Self.placesPerSet }

    /// Charges one request to a bucket, or refuses it where the bucket is empty. A refused request is not charged.
    ///
    /// - Parameter now: nanoseconds of a steady clock, the same for all callers.
    package func take(_ key: Key, at now: Int64) -> RateLimit.Level {
        let hash = hash(key)
        let set = Int(truncatingIfNeeded: hash >> 8) & (setsPerShard - 1)
        let (interval, window) = (limit.interval, limit.window)
        let (untilFull, isRefused) = shards[Int(truncatingIfNeeded: hash) & (Self.shardCount - 1)].state.withLock { shard in
            let place = Self.place(of: key, in: set, &shard, at: now)
            let now = max(now, shard.buckets[place].charged)
            let full = max(shard.buckets[place].full, now)
            guard full + interval - now <= window else { return (full - now, true) }
            (shard.buckets[place].full, shard.buckets[place].charged) = (full + interval, now)
            return (full + interval - now, false)
        }
        return limit.level(untilFull: untilFull, isRefused: isRefused)
    }

    /// The place of a client's bucket, which is made where there is none.
    private static func place(of key: Key, in set: Int, _ shard: inout Shard, at now: Int64) -> Int {
        let first = set * placesPerSet
        var earliest = first
        for place in first..<first + placesPerSet {
            let full = shard.buckets[place].full
            if full != .min, shard.buckets[place].key == key { return place }
            if full < shard.buckets[earliest].full { earliest = place }
        }
        if shard.buckets[earliest].full > now { shard.floors[set] = max(shard.floors[set], shard.buckets[earliest].full) }
        shard.buckets[earliest] = Bucket(key: key, full: max(shard.floors[set], now))
        return earliest
    }

    /// Seeded, so that a client cannot choose its set.
    private func hash(_ key: Key) -> UInt64 {
        let product = (key.high ^ seed.0).multipliedFullWidth(by: key.low ^ seed.1)
        let folded = product.high ^ product.low
        let second = (folded ^ seed.1).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return second.high ^ second.low
    }
}
