import API
import Services

/// Reads the issuer's keys at their interval, from ``begin(_:)`` to ``end()``.
struct KeySetUpkeep: Sendable {
    private let reader: KeySetReader
    private var task: Task<Void, Never>?

    init(_ reader: KeySetReader) { self.reader = reader }

    mutating func begin(_ keys: TokenKeys) {
        task = Task { await keys.rereadIssuerRegularly() }
    }

    func end() async {
        task?.cancel()
        await task?.value
        await reader.close()
    }
}
