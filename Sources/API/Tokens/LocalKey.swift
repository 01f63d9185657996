import Crypto

/// One HS256 key of the data folder, as it verifies: the present one, or a former one until its end.
struct LocalKey: Sendable {
    /// The HMAC with the key already in it; each check starts from a copy.
    let authenticator: HMAC<SHA256>
    /// The first instant, in milliseconds since 1970, at which its tokens are no longer valid.
    let endsAt: Int64
    /// Tells it from other keys without showing it.
    let fingerprint: [UInt8]
    var number: UInt8 = 0

    init(_ key: SymmetricKey, endsAt: Int64 = .max) {
        authenticator = HMAC(key: key)
        self.endsAt = endsAt
        fingerprint = key.withUnsafeBytes { Array(SHA256.hash(data: $0)) }
    }

    /// The same key under a number.
    func numbered(_ number: UInt8) -> LocalKey {
        var key = self
        key.number = number
        return key
    }
}

/// The numbers by which cached tokens name the keys that verified them, so that the tokens of a key leave with it.
///
/// A number that is in use or was just given up is not given again: an event loop drops the tokens of the keys that have left in the
/// same step in which it gets the new keys, so at the change after that the number is free on every loop.
struct KeyNumbers {
    private var taken: Set<UInt8>

    init(taken: Set<UInt8>) { self.taken = taken }

    /// The greatest number of keys at a time: half of all numbers, so that a change always finds free ones.
    static let mostKeys = 120

    mutating func next() -> UInt8 {
        for number in UInt8.min...UInt8.max where taken.insert(number).inserted { return number }
        preconditionFailure("two sets of keys have fewer than 256")
    }
}
