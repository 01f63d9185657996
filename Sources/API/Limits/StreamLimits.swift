import Synchronization

/// What a stream is for. Each kind has places of its own, so that one kind cannot take those of another.
enum StreamKind: Int, CaseIterable, Sendable {
    /// Events of the running service. Such a stream ends when its client closes it, or after a time that the route sets.
    case live
    /// A long list that is read once, by admins.
    case adminExport
    /// A long list that everybody may read.
    case openExport

    /// How many streams of the kind one service sends at once. Each keeps at most some 128 KiB of its body in memory.
    var most: Int {
        switch self {
        case .live: 32
        case .adminExport: 4
        case .openExport: 16
        }
    }

    /// After how long a stream is cut that has not ended, so that a slow reader gives its place back; nil where the body ends by itself.
    var longest: Duration? {
        switch self {
        case .live: nil
        case .adminExport: .seconds(3_600)
        case .openExport: .seconds(600)
        }
    }
}

/// Counts the streams of one service, over all its event loops.
final class StreamLimits: Sendable {
    private let running = Mutex([Int](repeating: 0, count: StreamKind.allCases.count))

    /// A place for one stream, which is free again when the object is released; nil where none is free.
    func place(for kind: StreamKind) -> StreamPlace? {
        let isFree = running.withLock { running in
            guard running[kind.rawValue] < kind.most else { return false }
            running[kind.rawValue] += 1
            return true
        }
        return isFree ? StreamPlace(kind, of: self) : nil
    }

    /// How many streams of the kind run now.
    func count(of kind: StreamKind) -> Int { running.withLock { $0[kind.rawValue] } }

    fileprivate func free(_ kind: StreamKind) {
        running.withLock { $0[kind.rawValue] -= 1 }
    }
}

/// The place of one stream. The closure that makes its body keeps it, so it is freed however the stream ends, and where its body never runs.
final class StreamPlace: Sendable {
    private let kind: StreamKind
    private let limits: StreamLimits

    fileprivate init(_ kind: StreamKind, of limits: StreamLimits) { (self.kind, self.limits) = (kind, limits) }

    deinit { limits.free(kind) }
}

/// A stream lasted longer than its kind may.
struct StreamTookTooLong: Error {
    /// Runs the body of a stream, and cancels it after the time; then throws this error.
    static func cut(after longest: Duration?, _ body: @escaping @Sendable () async throws -> Void) async throws {
        guard let longest else { return try await body() }
        try await withThrowingTaskGroup { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: longest)
                throw StreamTookTooLong()
            }
            try await group.next()
            group.cancelAll()
        }
    }
}
