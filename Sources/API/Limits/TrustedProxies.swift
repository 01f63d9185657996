package import HTTPServer

/// The proxies whose word about a client's address is believed.
package struct TrustedProxies: Sendable, Equatable {
    private var networks: [IPNetwork] = []
    /// Whether the peers of a unix socket are believed.
    package private(set) var includesUnixSocket = false

    /// Trusts no proxy: the client is the peer.
    package init() {}

    /// Reads a list such as `10.0.0.0/8,2001:db8::1,unix`; nil where an entry is neither a network nor an address nor `unix`.
    package init?(_ list: String) {
        for entry in list.split(separator: ",", omittingEmptySubsequences: false) {
            let entry = entry.drop { $0 == " " }
            if entry == "unix" {
                includesUnixSocket = true
            } else if let network = IPNetwork(entry) {
                networks.append(network)
            } else {
                return nil
            }
        }
    }

    /// Whether any proxy is trusted.
    var isAny: Bool { includesUnixSocket || !networks.isEmpty }

    func trusts(_ peer: IPAddress) -> Bool {
        if peer == .unspecified { return includesUnixSocket }
        return networks.contains { $0.contains(peer) }
    }

    /// The address of the client who sent a request: the peer, or where the peer is a trusted proxy, the last address in `Forwarded`
    /// (RFC 7239) or `X-Forwarded-For` that is none.
    ///
    /// Each proxy appends the address that it was called from, so the list is read from its end; what lies before the first address that
    /// is not trusted was written by that client and means nothing. Where an entry on the way is malformed, hidden or unknown, and where the
    /// two fields name different clients, the answer is the peer: a proxy that writes one of them passes the other one on as the client
    /// sent it.
    package func client(of request: HTTPRequest) -> IPAddress {
        let peer = request.peer
        guard isAny, trusts(peer) else { return peer }
        let forwarded = ForwardedClient(request, "forwarded", in: self, separators: [UInt8(ascii: ","), UInt8(ascii: ";")])
        let others = ForwardedClient(request, "x-forwarded-for", in: self, separators: [UInt8(ascii: ",")])
        switch (forwarded, others) {
        case (.absent, .absent), (.malformed, _), (_, .malformed): return peer
        case (.address(let client), .absent), (.absent, .address(let client)): return client
        case (.address(let client), .address(let other)): return client == other ? client : peer
        }
    }
}

/// What one of the two fields says.
private enum ForwardedClient {
    case absent
    case address(IPAddress)
    case malformed

    /// Entries beyond this many are not read, so that a long list costs no more than a short one; such a list is malformed.
    private static let maximumEntries = 32

    init(_ request: HTTPRequest, _ field: StaticString, in proxies: TrustedProxies, separators: [UInt8]) {
        // Nil for an entry that names no address.
        var entries: [IPAddress?] = []
        var isWellFormed = true
        request.withValues(of: field) { value in
            var parser = ForwardedParser(value)
            isWellFormed = parser.read(hasParameters: separators.count > 1, into: &entries) && isWellFormed
        }
        guard isWellFormed, entries.count <= Self.maximumEntries else {
            self = .malformed
            return
        }
        guard !entries.isEmpty else {
            self = .absent
            return
        }
        var client: IPAddress?
        for entry in entries.reversed() {
            guard let entry else {
                self = .malformed
                return
            }
            client = entry
            if !proxies.trusts(entry) { break }
        }
        self = client.map { .address($0) } ?? .malformed
    }
}

/// Reads one value of `Forwarded` or `X-Forwarded-For`.
private struct ForwardedParser {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private static let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))

    /// Appends the address of each element, nil for one without an address. False where the value is malformed.
    mutating func read(hasParameters: Bool, into entries: inout [IPAddress?]) -> Bool {
        while true {
            guard hasParameters ? readElement(into: &entries) : readAddress(into: &entries) else { return false }
            guard position < bytes.count else { return true }
            // The comma.
            position += 1
        }
    }

    private mutating func readAddress(into entries: inout [IPAddress?]) -> Bool {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: ",") { position += 1 }
        entries.append(Self.address(Self.trimmed(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))))
        return true
    }

    /// Reads `for=192.0.2.1;proto=https`; of an element with several addresses, none counts.
    private mutating func readElement(into entries: inout [IPAddress?]) -> Bool {
        var (address, count) = (IPAddress?.none, 0)
        while true {
            skipSpaces()
            let start = position
            while position < bytes.count, Self.isToken(bytes[position]) { position += 1 }
            let isFor = Self.isFor(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
            if position > start {
                guard position < bytes.count, bytes[position] == UInt8(ascii: "=") else { return false }
                position += 1
                guard let value = readValue() else { return false }
                if isFor { (address, count) = (Self.address(value), count + 1) }
            }
            skipSpaces()
            guard position < bytes.count, bytes[position] != UInt8(ascii: ",") else { break }
            guard bytes[position] == UInt8(ascii: ";") else { return false }
            position += 1
        }
        entries.append(count == 1 ? address : nil)
        return true
    }

    /// A token or a quoted string without its quotes; nil where it is neither. A quoted string with an escape names no address, and reads
    /// as an empty value.
    private mutating func readValue() -> UnsafeRawBufferPointer? {
        guard position < bytes.count, bytes[position] == Self.quote else {
            let start = position
            // Colons and brackets should be quoted; many proxies do not.
            while position < bytes.count, Self.isToken(bytes[position]) || [":", "[", "]"].contains(UnicodeScalar(bytes[position])) {
                position += 1
            }
            return UnsafeRawBufferPointer(rebasing: bytes[start..<position])
        }
        position += 1
        let start = position
        var hasEscape = false
        while position < bytes.count, bytes[position] != Self.quote {
            if bytes[position] == Self.backslash {
                hasEscape = true
                position += 1
            }
            position += 1
        }
        guard position < bytes.count else { return nil }
        let value = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
        position += 1
        return hasEscape ? UnsafeRawBufferPointer(rebasing: value[..<0]) : value
    }

    private mutating func skipSpaces() {
        while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func isFor(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count == 3 && name.elementsEqual("for".utf8) { $0 | 0x20 == $1 }
    }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var (start, end) = (0, bytes.count)
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
    private static func address(_ text: UnsafeRawBufferPointer) -> IPAddress? {
        if text.first == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            guard end + 1 == text.count || isPort(UnsafeRawBufferPointer(rebasing: text[(end + 1)...])) else { return nil }
            guard let address = IPAddress(UnsafeRawBufferPointer(rebasing: text[1..<end])), text[1..<end].contains(UInt8(ascii: ":"))
            else { return nil }
            return address
        }
        if let address = IPAddress(text) { return address }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), isPort(UnsafeRawBufferPointer(rebasing: text[colon...])) else {
            return nil
        }
        return IPAddress(UnsafeRawBufferPointer(rebasing: text[..<colon]))
    }

    /// A colon and one to five digits.
    private static func isPort(_ text: UnsafeRawBufferPointer) -> Bool {
        (2...6).contains(text.count) && text[0] == UInt8(ascii: ":")
            && text.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
