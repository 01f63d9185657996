/// A case in which the server deliberately reads a request differently from NIOHTTP1's decoder, and why.
package struct Difference: Sendable {
    package let name: String
    /// The rule that the server follows.
    package let reason: String
    /// Whether a disagreement is of this kind.
    let explains: @Sendable (Disagreement) -> Bool
}

/// The first request about which the two verdicts on the same bytes differ.
package struct Disagreement: Sendable, CustomStringConvertible {
    package let bytes: [UInt8]
    package let ours: Verdict
    package let oracle: Verdict
    /// The number of the request on which they disagree.
    let number: Int

    /// The request that one of them accepts; nil where it refuses it.
    var ourRequest: Verdict.Request? { number < ours.requests.count ? ours.requests[number] : nil }
    var oracleRequest: Verdict.Request? { number < oracle.requests.count ? oracle.requests[number] : nil }

    /// The bytes from the beginning of that request, as far as it can be found.
    var raw: RawRequest { RawRequest(bytes, number: number) }

    /// The status of our refusal of what the oracle accepts.
    var refusal: (status: Int, request: Verdict.Request)? {
        guard ourRequest == nil, let request = oracleRequest, case .refused(let status?) = ours.end else { return nil }
        return (status, request)
    }

    /// The request that the server accepts and the oracle refuses.
    var acceptance: Verdict.Request? {
        guard oracleRequest == nil, case .refused = oracle.end else { return nil }
        return ourRequest
    }

    package var description: String {
        "request \(number) of \(Comparison.text(bytes))\n  ours:   \(ours)\n  oracle: \(oracle)"
    }
}

/// Compares the server's reader with the oracle.
package enum Comparison {
    package enum Outcome: Sendable {
        case same
        case known(Difference)
        case unknown(Disagreement)
    }

    /// Bytes as text with escapes, for pasting into a test.
    package static func text(_ bytes: [UInt8]) -> String {
        let text = bytes.map { byte in
            switch byte {
            case UInt8(ascii: "\r"): "\\r"
            case UInt8(ascii: "\n"): "\\n"
            case UInt8(ascii: "\t"): "\\t"
            case UInt8(ascii: "\""): "\\\""
            case UInt8(ascii: "\\"): "\\\\"
            case 0x20..<0x7F: String(UnicodeScalar(byte))
            default: "\\u{\(String(byte, radix: 16))}"
            }
        }.joined()
        return text.count > 3_000 ? "\"\(text.prefix(1_500))\" … \"\(text.suffix(1_400))\" (\(bytes.count) bytes)" : "\"\(text)\""
    }

    package static func compare(_ bytes: [UInt8], ours: Verdict, oracle: Verdict) -> Outcome {
        guard let number = firstDisagreement(ours, oracle) else { return .same }
        let disagreement = Disagreement(bytes: bytes, ours: ours, oracle: oracle, number: number)
        guard let difference = Difference.all.first(where: { $0.explains(disagreement) }) else { return .unknown(disagreement) }
        return .known(difference)
    }

    private static func firstDisagreement(_ ours: Verdict, _ oracle: Verdict) -> Int? {
        let common = min(ours.requests.count, oracle.requests.count)
        for number in 0..<common where ours.requests[number] != oracle.requests[number] { return number }
        guard ours.requests.count == oracle.requests.count else { return common }
        switch (ours.end, oracle.end) {
        case (.refused, .refused), (.atRequest, .atRequest), (.afterLastRequest, .afterLastRequest): return nil
        default: return common
        }
    }
}
