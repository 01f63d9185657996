import Crypto

/// The chain of a campaign's wins: each win's hash covers the win and the hash of the win before it, so that a list which was changed
/// afterwards no longer leads to a hash that was published before.
///
/// All hashes are SHA-256 over ASCII text, so that anybody can compute them with `printf` and `sha256sum`:
///
/// - the first hash of campaign 7, which no win has: `firstcome:7`
/// - the user's hash: `userId:nonce`. The nonce is 32 hexadecimal digits, derived from the campaign's secret salt and the user id. Without
///   it nobody can find the user id of a hash by trying all ids.
/// - the win's hash: `previousHash:sequence:userHash:issuedAt`, with the instant as the API shows it.
package struct WinChain: Sendable {
    /// The campaign's secret: 32 random bytes.
    private let salt: [UInt8]

    package static let saltByteCount = 32

    package init(salt: [UInt8]) { self.salt = salt }

    /// A salt from the system's cryptographically secure generator.
    package static func newSalt() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<saltByteCount).map { _ in generator.next() }
    }

    /// The hash before the first win of a campaign.
    package static func start(of campaign: CouponID) -> ChainHash { hash(of: "firstcome:\(campaign)") }

    /// The hash of a win whose user's hash is known.
    package static func hash(after previous: ChainHash, sequence: Int64, userHash: ChainHash, issuedAt: Instant) -> ChainHash {
        hash(of: "\(previous):\(sequence):\(userHash):\(issuedAt)")
    }

    /// The hash of a user, by the nonce that the user's receipt shows.
    package static func userHash(of user: UserID, nonce: String) -> ChainHash { hash(of: "\(user):\(nonce)") }

    /// The nonce of a user in this campaign.
    package func nonce(of user: UserID) -> String {
        String(unsafeUninitializedCapacity: Self.nonceDigitCount) { digits in
            putNonce(of: user, into: digits, at: 0)
            return Self.nonceDigitCount
        }
    }

    /// The hash of a user in this campaign.
    package func userHash(of user: UserID) -> ChainHash {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { text in
            var end = text.putDecimal(user.rawValue, at: 0)
            text[end] = Self.colon
            end = putNonce(of: user, into: text, at: end + 1)
            return Self.hash(of: UnsafeRawBufferPointer(text), count: end)
        }
    }

    /// The hash of a win.
    package func hash(after previous: ChainHash, sequence: Int64, user: UserID, issuedAt: Instant) -> ChainHash {
        let userHash = userHash(of: user)
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 192) { text in
            var end = previous.withBytes { text.putHexadecimal($0, at: 0) }
            text[end] = Self.colon
            end = text.putDecimal(sequence, at: end + 1)
            text[end] = Self.colon
            end = userHash.withBytes { text.putHexadecimal($0, at: end + 1) }
            text[end] = Self.colon
            issuedAt.write(into: UnsafeMutableBufferPointer(rebasing: text[(end + 1)...]))
            return Self.hash(of: UnsafeRawBufferPointer(text), count: end + 25)
        }
    }

    private static let nonceDigitCount = 32
    private static let colon = UInt8(ascii: ":")

    /// Writes the digits of a nonce and returns the offset behind them: the first half of SHA-256 over the salt and the user id.
    @discardableResult
    private func putNonce(of user: UserID, into text: UnsafeMutableBufferPointer<UInt8>, at offset: Int) -> Int {
        var hasher = SHA256()
        salt.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            let end = digits.putDecimal(user.rawValue, at: 0)
            hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[..<end]))
        }
        return hasher.finalize().withUnsafeBytes { hash in
            text.putHexadecimal(UnsafeRawBufferPointer(rebasing: hash[..<(Self.nonceDigitCount / 2)]), at: offset)
        }
    }

    private static func hash(of text: String) -> ChainHash {
        var text = text
        return text.withUTF8 { hash(of: UnsafeRawBufferPointer($0), count: $0.count) }
    }

    private static func hash(of bytes: UnsafeRawBufferPointer, count: Int) -> ChainHash {
        var hasher = SHA256()
        hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        let hash = hasher.finalize().withUnsafeBytes { ChainHash($0) }
        guard let hash else { preconditionFailure("SHA-256 gives 32 bytes") }
        return hash
    }
}

extension UnsafeMutableBufferPointer<UInt8> {
    /// Writes the decimal digits of a number, and returns the offset behind them. Needs at most 20 bytes.
    func putDecimal(_ value: Int64, at offset: Int) -> Int {
        var (digits, rest) = (1, value.magnitude)
        while rest >= 10 { (digits, rest) = (digits + 1, rest / 10) }
        var start = offset
        if value < 0 {
            self[start] = UInt8(ascii: "-")
            start += 1
        }
        rest = value.magnitude
        for index in stride(from: start + digits - 1, through: start, by: -1) {
            self[index] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        return start + digits
    }
}
