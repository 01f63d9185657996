/// The paths that were matched last, for one event loop: in a sale most requests name a few paths, and comparing one costs a tenth
/// of looking it up.
package struct RecentMatches {
    /// Bytes of the longest path that is kept.
    private static let maximumByteCount = 48

    private struct Entry {
        var method = HTTPMethod.other
        var count = 0
        var path = InlineArray<48, UInt8>(repeating: 0)
        var place = 0
        var parameters = PathParameters()
    }

    private let router: Router
    /// A direct-mapped table: a path replaces the one that was in its slot.
    private var entries = [Entry](repeating: Entry(), count: 64)

    /// Caches the matches of a router.
    package init(_ router: Router) { self.router = router }

    /// Looks up the method and path of a request.
    package mutating func match(_ request: HTTPRequest) -> Router.Match {
        request.withPath { match(request.method, $0) }
    }

    mutating func match(_ method: HTTPMethod, _ path: UnsafeRawBufferPointer) -> Router.Match {
        guard path.count >= 8, path.count <= RecentMatches.maximumByteCount, let bytes = path.baseAddress else {
            return router.match(method, path)
        }
        // The last eight bytes are hashed, because paths differ most there.
        let word = path.loadUnaligned(fromByteOffset: path.count - 8, as: UInt64.self)
        let slot = Int(truncatingIfNeeded: ((word ^ UInt64(path.count)) &* 0x9E37_79B9_7F4A_7C15) >> 58)
        let isKnown =
            entries[slot].method == method && entries[slot].count == path.count
            && withUnsafeBytes(of: entries[slot].path) { $0.begins(with: bytes, path.count) }
        if isKnown { return .found(entries[slot].place, entries[slot].parameters) }
        let match = router.match(method, path)
        if case .found(let place, let parameters) = match {
            entries[slot].method = method
            entries[slot].count = path.count
            withUnsafeMutableBytes(of: &entries[slot].path) { $0.copyMemory(from: path) }
            entries[slot].place = place
            entries[slot].parameters = parameters
        }
        return match
    }
}
