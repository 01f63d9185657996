package import Commerce
import JSON
import NIOCore

/// The receipt of one win, as it is in the coupon that the API shows to the winner.
package struct ReceiptCheck: Sendable, Equatable {
    package let coupon: CouponID
    package let sequence: Int64
    package let userHash: ChainHash
    package let issuedAt: Instant
    package let hash: ChainHash

    /// Reads a coupon's JSON, or a list of coupons with one in it, and checks that user, nonce, sequence, instant and the hash before give
    /// the receipt's hash.
    ///
    /// - Throws: `CommandError`, which says what is missing or wrong.
    package init(json text: [UInt8]) throws(CommandError) {
        let value: JSONValue
        do {
            value = try JSONParser.parse(ByteBuffer(bytes: text))
        } catch {
            throw CommandError("the receipt is no JSON: \(error)")
        }
        let coupon: JSONValue
        if case .array(let items)? = value["items"] {
            guard items.count == 1 else { throw CommandError("the list has \(items.count) coupons; keep the one that is to be checked") }
            coupon = items[0]
        } else {
            coupon = value
        }
        guard coupon["receipt"] != nil else { throw CommandError("the coupon has no receipt yet; its win is sealed within moments") }
        let user = try Self.number("userId", coupon["userId"])
        self.coupon = CouponID(try Self.number("couponId", coupon["couponId"]))
        sequence = try Self.number("sequence", coupon["sequence"])
        guard case .string(let time)? = coupon["issuedAt"], let instant = Instant(rfc3339: time), instant.description == time else {
            throw CommandError("the coupon has no valid issuedAt")
        }
        issuedAt = instant
        guard case .string(let nonce)? = coupon["receipt"]?["nonce"] else { throw CommandError("the receipt has no valid nonce") }
        let previous = try Self.hash("previousHash", coupon["receipt"]?["previousHash"])
        userHash = try Self.hash("userHash", coupon["receipt"]?["userHash"])
        hash = try Self.hash("hash", coupon["receipt"]?["hash"])
        guard WinChain.userHash(of: UserID(user), nonce: nonce) == userHash else {
            throw CommandError("the receipt is not of user \(user): its userHash is not that of the user id and the nonce")
        }
        guard WinChain.hash(after: previous, sequence: sequence, userHash: userHash, issuedAt: instant) == hash else {
            throw CommandError("the receipt's hash is not that of its sequence, user and instant and of the hash before it")
        }
    }

    private static func number(_ name: String, _ value: JSONValue?) throws(CommandError) -> Int64 {
        guard case .integer(let number)? = value, number > 0 else { throw CommandError("the coupon has no valid \(name)") }
        return number
    }

    private static func hash(_ name: String, _ value: JSONValue?) throws(CommandError) -> ChainHash {
        guard case .string(let text)? = value, let hash = ChainHash(text) else { throw CommandError("the receipt has no valid \(name)") }
        return hash
    }
}
