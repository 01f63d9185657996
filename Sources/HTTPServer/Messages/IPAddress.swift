package import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// An IPv4 or IPv6 address. An IPv4 address is kept as the IPv6 address that maps it (`::ffff:192.0.2.1`), so that both spellings of one
/// address are equal.
package struct IPAddress: Hashable, Sendable {
    /// The first eight bytes of the IPv6 address.
    package let high: UInt64
    /// The last eight bytes.
    package let low: UInt64

    /// `::`, which no peer has. It stands for peers without an IP address, such as those of a unix socket.
    package static let unspecified = IPAddress(high: 0, low: 0)

    init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

    /// The IPv4 address with this number: 0x7F000001 for `127.0.0.1`.
    package init(ipv4 number: UInt32) { self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(number)) }

    /// The address of a socket; ``unspecified`` for a unix socket.
    package init(_ address: SocketAddress?) {
        // Read as bytes: in `sockaddr_in` the address follows family and port, in `sockaddr_in6` also the flow label.
        switch address {
        case .v4(let socket):
            self = withUnsafeBytes(of: socket.address) {
                IPAddress(ipv4: UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
            }
        case .v6(let socket):
            self = withUnsafeBytes(of: socket.address) { IPAddress(ipv6: UnsafeRawBufferPointer(rebasing: $0[8..<24])) }
        case .unixDomainSocket, nil: self = .unspecified
        }
    }

    private init(ipv6 bytes: UnsafeRawBufferPointer) {
        let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        self.init(high: high, low: low)
    }

    /// Reads `192.0.2.1` or `2001:db8::1`; nil for anything else.
    package init?(_ text: UnsafeRawBufferPointer) {
        // The longest text is an IPv6 address that ends with four decimal numbers.
        guard (2...45).contains(text.count), !text.contains(0) else { return nil }
        let parsed = withUnsafeTemporaryAllocation(byteCount: 46, alignment: 1) { buffer -> IPAddress? in
            buffer.copyMemory(from: text)
            buffer[text.count] = 0
            guard let characters = buffer.assumingMemoryBound(to: CChar.self).baseAddress else { return nil }
            return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { address in
                guard let target = address.baseAddress else { return nil }
                if inet_pton(AF_INET, characters, target) == 1 { return IPAddress(ipv4: UInt32(bigEndian: target.load(as: UInt32.self))) }
                return inet_pton(AF_INET6, characters, target) == 1 ? IPAddress(ipv6: UnsafeRawBufferPointer(address)) : nil
            }
        }
        guard let parsed else { return nil }
        self = parsed
    }

    /// See ``init(_:)-(UnsafeRawBufferPointer)``.
    package init?(_ text: some StringProtocol) {
        guard let address = Array(text.utf8).withUnsafeBytes({ IPAddress($0) }) else { return nil }
        self = address
    }

    /// Whether this is an IPv4 address.
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// The network that one customer of a provider has: of an IPv6 address its /64, within which a client chooses addresses freely; an
    /// IPv4 address itself.
    package var customerNetwork: IPAddress { isIPv4 ? self : IPAddress(high: high, low: 0) }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        if isIPv4 { return [24, 16, 8, 0].map { String(low >> $0 & 0xFF) }.joined(separator: ".") }
        return withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { address in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 46) { text in
                guard let source = address.baseAddress, let target = text.baseAddress, inet_ntop(AF_INET6, source, target, 46) != nil
                else { return "" }
                return String(cString: target)
            }
        }
    }
}

/// A network in CIDR notation, such as `10.0.0.0/8` or `2001:db8::/32`.
package struct IPNetwork: Hashable, Sendable {
    private let address: IPAddress
    private let mask: IPAddress

    /// Nil for anything but an address with an optional prefix length, whose bits beyond the prefix are zero.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = Int(parts[1]),
                number <= width
            else { return nil }
            length = number
        }
        length += 128 - width
        mask = IPAddress(high: Self.ones(length), low: Self.ones(length - 64))
        guard address.high & ~mask.high == 0, address.low & ~mask.low == 0 else { return nil }
        self.address = address
    }

    /// A word whose first bits are set.
    private static func ones(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : .max << UInt64(64 - count) }

    package func contains(_ other: IPAddress) -> Bool {
        other.high & mask.high == address.high && other.low & mask.low == address.low
    }
}
