import HTTPServer
import NIOCore

/// How many forged tokens each source has sent lately: one for each token that failed its check, less one for each that passed and one
/// for each second.
///
/// The memory is constant, however many sources there are: each source has a place in two rows, chosen by two seeded hashes, and the lower
/// of the two numbers counts. So a source that shares one of its places with a forger is not taken for one.
struct SourceScores: Sendable {
    private struct Place: Sendable {
        var failures: Float = 0
        var at = NIODeadline.uptimeNanoseconds(0)

        func failures(at now: NIODeadline) -> Float { max(0, failures - Float((now - at).nanoseconds) / 1e9) }
    }

    private static let width = 4096
    /// No source is remembered for longer than this many seconds.
    private static let most: Float = 60
    private var rows = Array(repeating: Place(), count: width * 2)

    func failures(of source: IPAddress, at now: NIODeadline) -> Double {
        Double(min(rows[Self.place(of: source, 0)].failures(at: now), rows[Self.place(of: source, 1)].failures(at: now)))
    }

    mutating func count(_ source: IPAddress, failed: Bool, at now: NIODeadline) {
        for row in 0...1 {
            let place = Self.place(of: source, row)
            let failures = rows[place].failures(at: now) + (failed ? 1 : -1)
            rows[place] = Place(failures: min(max(failures, 0), Self.most), at: now)
        }
    }

    /// Each process has another seed, so an attacker cannot choose addresses that share a place.
    private static func place(of source: IPAddress, _ row: Int) -> Int {
        var hasher = Hasher()
        hasher.combine(row)
        hasher.combine(source)
        return row * width + hasher.finalize() & (width - 1)
    }
}
