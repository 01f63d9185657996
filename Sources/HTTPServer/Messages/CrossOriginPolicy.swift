/// The origins whose web pages may call the server, by the CORS protocol of the Fetch standard.
package struct CrossOriginPolicy: Sendable, Equatable {
    /// Who is allowed.
    enum Origins: Sendable, Equatable {
        /// Every page. Answers are then the same for all, whoever asks.
        case any
        /// The pages of these origins, as browsers send them in `Origin`.
        case listed([String])
    }

    /// The most origins of one policy. They are compared one after the other.
    package static let maximumCount = 64

    let origins: Origins
    /// The fields of answers that pages may read beside those that every page may.
    let exposedFields: [String]

    /// - Parameters:
    ///   - origins: exact origins such as `https://shop.example`, or `*` alone.
    ///   - exposedFields: the fields of answers that pages may read beside those that every page may.
    package init(origins: [String], exposing exposedFields: [String]) throws(InvalidOrigin) {
        self.exposedFields = exposedFields
        guard origins != ["*"] else {
            self.origins = .any
            return
        }
        for origin in origins { try Self.check(origin) }
        guard let first = origins.first else { throw InvalidOrigin(origin: "", reason: "an origin is missing") }
        guard origins.count <= Self.maximumCount else {
            throw InvalidOrigin(origin: first, reason: "there are \(origins.count) origins, and at most \(Self.maximumCount) are allowed")
        }
        self.origins = .listed(origins)
    }

    /// Whether a page of this origin may call the server; false without an origin.
    func allows(_ origin: UnsafeRawBufferPointer?) -> Bool {
        guard let origin else { return false }
        switch origins {
        case .any: return true
        case .listed(let origins): return origins.contains { origin.elementsEqual($0.utf8) }
        }
    }

    /// Whether a browser asks by this request if a page may send another one.
    package func isPreflight(_ request: HTTPRequest) -> Bool {
        request.method == .options && request.withOrigin(allows) && !request.values(of: "access-control-request-method").isEmpty
    }
}

// MARK: - The form of an origin

extension CrossOriginPolicy {
    /// A text that no browser sends as an origin.
    package struct InvalidOrigin: Error, Equatable {
        package let origin: String
        /// What is wrong with it, as a clause.
        package let reason: String
    }

    /// Throws where the text is not exactly what browsers send (RFC 6454 section 6.2), because it would never match.
    private static func check(_ origin: String) throws(InvalidOrigin) {
        func fail(_ reason: String) throws(InvalidOrigin) { throw InvalidOrigin(origin: origin, reason: reason) }
        guard origin != "*" else { return try fail("* allows every origin and cannot be combined with others") }
        guard origin != "null" else { return try fail("any site can send null, so it identifies nobody") }
        guard let separator = origin.firstRange(of: "://"), isScheme(origin[..<separator.lowerBound]) else {
            return try fail("an origin begins with a scheme in lowercase, as in https://shop.example")
        }
        let (scheme, authority) = (origin[..<separator.lowerBound], origin[separator.upperBound...])
        guard !authority.contains(where: { "/?#".contains($0) }) else {
            return try fail("an origin ends with its host and port; leave out the path, also a single slash")
        }
        guard authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return try fail("browsers send hosts in ASCII; write an international name in its xn-- form")
        }
        guard !authority.contains(where: \.isUppercase) else { return try fail("browsers send hosts in lowercase") }
        let (host, port) = parts(of: authority)
        guard isHost(host) else { return try fail("the host is malformed") }
        guard let port else { return }
        guard let number = UInt16(port), number > 0, String(number) == port else { return try fail("the port is malformed") }
        let isDefault = (scheme == "https" && number == 443) || (scheme == "http" && number == 80)
        guard !isDefault else { return try fail("browsers leave out the default port \(number)") }
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isLetter(first) else { return false }
        return text.utf8.allSatisfy {
            isLetter($0) || isDigit($0) || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains($0)
        }
    }

    /// The host with the brackets of an IPv6 address, and the port behind it.
    private static func parts(of authority: Substring) -> (host: Substring, port: Substring?) {
        let end =
            authority.hasPrefix("[") ? authority.firstIndex(of: "]").map { authority.index(after: $0) } : authority.firstIndex(of: ":")
        guard let end, end < authority.endIndex else { return (authority, nil) }
        guard authority[end] == ":" else { return ("", nil) }
        return (authority[..<end], authority[authority.index(after: end)...])
    }

    private static func isHost(_ host: Substring) -> Bool {
        guard host.hasPrefix("[") else {
            return !host.isEmpty
                && host.utf8.allSatisfy {
                    isLetter($0) || isDigit($0) || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_")].contains($0)
                }
        }
        guard host.hasSuffix("]"), host.utf8.count > 4 else { return false }
        return host.dropFirst().dropLast().utf8.allSatisfy {
            ByteClass.hexDigit($0) != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
