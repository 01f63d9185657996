import Crypto

/// The address of the data platform, and the settings for posting to it.
package struct DataPlatform: Sendable {
    package let url: String
    /// The key of the HMAC-SHA256 signature, shared with the platform.
    package let secret: [UInt8]
    /// The time limit for making a connection, and for the answer to a POST, counted from when it was sent.
    package var timeoutMilliseconds = standardTimeoutMilliseconds
    /// The tries that count against an event before it is parked.
    package var maximumTries = standardTries

    package static let standardTimeoutMilliseconds: Int64 = 5_000
    /// 20 tries take about an hour and a half.
    package static let standardTries: Int64 = 20

    package init(url: String, secret: [UInt8]) {
        (self.url, self.secret) = (url, secret)
    }

    /// The header that carries the signature: `sha256=` and the HMAC-SHA256 of the body in lower-case hexadecimal.
    package static let signatureHeader = "X-Firstcome-Signature"

    /// The value of ``signatureHeader`` for a body.
    package func signature(of body: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: SymmetricKey(data: secret))
        return "sha256=" + code.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
