import Commerce
import Foundation

/// Caches the verified tokens of one event loop, so that a busy client's token is verified once.
///
/// Confined to its loop. Keyed by the bytes of the token alone: however the scheme before it is spelled, it has one entry. Two
/// generations bound its memory: when the young one is full, the old one is dropped and the young one takes its place; a token found
/// in the old one is copied to the young one. Refused tokens are not cached, because they would displace valid ones.
///
/// A lookup compares tokens only after their seeded hashes agree, which cover the whole signature. So its time does not tell a client
/// how much of a cached signature it has guessed.
struct TokenCache {
    private var young: Generation
    private var old: Generation
    private let seed = TokenHashSeed()

    /// The most memory that a loop's cache takes, whatever the tokens: room for some 65,000 of the service's own.
    static let defaultMaximumBytes = 16 << 20
    /// The same where tokens of an issuer are taken, which are longer: room for some 60,000 of 1,000 bytes. Memory that no token has needed
    /// yet is not touched, so it takes none of the machine's.
    static let maximumBytesForIssuer = 64 << 20

    init(maximumBytes: Int = TokenCache.defaultMaximumBytes) {
        let size = Generation.Size(bytes: maximumBytes / 2)
        (young, old) = (Generation(size: size), Generation(size: size))
    }

    /// Entries of both generations; a token that was copied from the old to the young one has two.
    var count: Int { young.count + old.count }

    /// Bytes that are allocated now.
    var byteCount: Int { young.byteCount + old.byteCount }

    mutating func find(_ token: BearerToken) -> VerifiedToken? {
        let hash = token.signatureHash(seed)
        if let known = young.find(token, hash: hash) { return known }
        guard let known = old.find(token, hash: hash) else { return nil }
        insert(known, for: token, hash: hash)
        return known
    }

    /// Adds a token that ``find(_:)`` did not find.
    mutating func insert(_ verified: VerifiedToken, for token: BearerToken) {
        insert(verified, for: token, hash: token.signatureHash(seed))
    }

    /// Removes the tokens that some keys verified.
    mutating func removeTokens(of keys: Set<UInt8>) {
        guard !keys.isEmpty else { return }
        young.removeTokens(of: keys)
        old.removeTokens(of: keys)
    }

    private mutating func insert(_ verified: VerifiedToken, for token: BearerToken, hash: UInt64) {
        if young.insert(verified, for: token, hash: hash) { return }
        swap(&old, &young)
        young.removeAll()
        let isInserted = young.insert(verified, for: token, hash: hash)
        assert(isInserted, "an empty generation has room for any token")
    }
}

/// Tokens one after the other, found through a table with open addressing. Its arrays have their final capacity from the first token on
/// and never grow; the system gives memory to the pages of them that are written.
private struct Generation {
    /// Without any reference, so that dropping all entries takes no time.
    private struct Entry {
        let expiresAt: Int64
        let validFrom: Int64
        /// 0 for an admin, whose subject follows the token.
        let userID: Int64
        let start: UInt32
        /// 0 once the token is removed; no token has this length.
        var tokenLength: UInt16
        let subjectLength: UInt8
        let keyNumber: UInt8
    }

    /// How a generation's bytes are divided.
    struct Size {
        let entries: Int
        let bytes: Int
        /// Twice the entries: on average a lookup takes one step and a half.
        var slots: Int { entries * 2 }

        private static let perEntry = MemoryLayout<Entry>.stride + 2 * MemoryLayout<UInt32>.stride
        /// One of the service's own tokens with its entry.
        private static let typical = perEntry + 170
        /// What the arrays themselves take: a header each, and the rest of a page.
        private static let overhead = 3 * 4096
        /// An entry's position must fit beside its tag.
        private static let mostEntries = 1 << 15

        init(bytes available: Int) {
            var entries = 1
            while entries * 2 * Self.typical <= available, entries < Self.mostEntries { entries *= 2 }
            self.entries = entries
            bytes = available - entries * Self.perEntry - Self.overhead
            precondition(bytes >= BearerToken.longestOfIssuer + Int(UInt8.max), "a cache has room for the longest token")
        }
    }

    private let size: Size
    /// 0 where free; else 16 bits of the token's hash and the position of its entry plus one.
    private var slots: [UInt32] = []
    private var entries: [Entry] = []
    private var bytes: [UInt8] = []

    init(size: Size) { self.size = size }

    var count: Int { entries.count }

    var byteCount: Int {
        slots.capacity * MemoryLayout<UInt32>.stride + entries.capacity * MemoryLayout<Entry>.stride + bytes.capacity
    }

    @inline(__always)
    func find(_ token: BearerToken, hash: UInt64) -> VerifiedToken? {
        guard !slots.isEmpty else { return nil }
        let tag = Self.tag(hash)
        var slot = firstSlot(hash)
        // Ends at the latest at a free slot; at least half of them are free.
        while slots[slot] != 0 {
            if slots[slot] & Self.tagMask == tag {
                let entry = entries[Int(slots[slot] & ~Self.tagMask) - 1]
                if let verified = read(entry, ifOf: token) { return verified }
            }
            slot = (slot + 1) & (size.slots - 1)
        }
        return nil
    }

    @inline(__always)
    private func read(_ entry: Entry, ifOf token: BearerToken) -> VerifiedToken? {
        guard Int(entry.tokenLength) == token.bytes.count else { return nil }
        return bytes.withUnsafeBytes { bytes in
            let (start, end) = (Int(entry.start), Int(entry.start) + token.bytes.count)
            guard let known = bytes.baseAddress, let asked = token.bytes.baseAddress, memcmp(known + start, asked, end - start) == 0
            else { return nil }
            let identity: Identity
            if entry.userID > 0 {
                identity = .user(UserID(entry.userID))
            } else {
                // Rebased, because making a `String` from a slice is much slower.
                let subject = UnsafeRawBufferPointer(rebasing: bytes[end..<end + Int(entry.subjectLength)])
                identity = .admin(subject: String(decoding: subject, as: UTF8.self))
            }
            return VerifiedToken(
                identity: identity, expiresAt: entry.expiresAt, validFrom: entry.validFrom, keyNumber: entry.keyNumber)
        }
    }

    /// `false` when there is no room.
    mutating func insert(_ verified: VerifiedToken, for token: BearerToken, hash: UInt64) -> Bool {
        if slots.isEmpty { allocate() }
        let subject: String
        let userID: Int64
        switch verified.identity {
        case .user(let id): (subject, userID) = ("", id.rawValue)
        case .admin(let name): (subject, userID) = (name, 0)
        }
        guard entries.count < size.entries, bytes.count + token.bytes.count + subject.utf8.count <= size.bytes else { return false }
        entries.append(
            Entry(
                expiresAt: verified.expiresAt, validFrom: verified.validFrom, userID: userID, start: UInt32(bytes.count),
                tokenLength: UInt16(token.bytes.count), subjectLength: UInt8(subject.utf8.count), keyNumber: verified.keyNumber))
        bytes.append(contentsOf: token.bytes)
        bytes.append(contentsOf: subject.utf8)
        var slot = firstSlot(hash)
        while slots[slot] != 0 { slot = (slot + 1) & (size.slots - 1) }
        slots[slot] = Self.tag(hash) | UInt32(entries.count)
        return true
    }

    /// The bytes and slots of the removed ones are reused when the generation is dropped.
    mutating func removeTokens(of keys: Set<UInt8>) {
        for index in entries.indices where keys.contains(entries[index].keyNumber) { entries[index].tokenLength = 0 }
    }

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        for slot in slots.indices { slots[slot] = 0 }
    }

    private mutating func allocate() {
        slots = Array(repeating: 0, count: size.slots)
        entries.reserveCapacity(size.entries)
        bytes.reserveCapacity(size.bytes)
    }

    private static let tagMask: UInt32 = 0xFFFF_0000

    /// Bits of the hash that do not choose the slot.
    private static func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) & tagMask }

    private func firstSlot(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (size.slots - 1) }
}
