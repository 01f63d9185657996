/// How much is measured.
package struct BenchSettings: Sendable {
    package let isQuick: Bool
    /// How often each row is measured.
    package let rounds: Int
    /// Keeps to parts and rows with this in their name, and what they are held against; nil for all.
    package private(set) var only: String?
    /// The program's own path, to start the bare server as a process of its own.
    package let executable: String
    /// An earlier build of the service, to measure beside this one; nil without one.
    package let before: String?

    package init(isQuick: Bool, rounds: Int?, only: String?, executable: String, before: String? = nil) {
        (self.isQuick, self.only, self.executable, self.before) = (isQuick, only, executable, before)
        self.rounds = max(1, rounds ?? (isQuick ? 2 : 5))
    }

    /// How long a row runs that has no end of its own.
    var seconds: Int { isQuick ? 2 : 6 }

    /// Claims that win, over all rounds: the target for memory is one after a million.
    var wins: Int { isQuick ? 30_000 * rounds : 1_000_000 }
    var winsEachRound: Int { wins / rounds }

    /// Claims that win of one client, in one round: each waits for a commit of its own.
    var winsAlone: Int { isQuick ? 500 : 2_000 }

    /// Orders, payments, checkouts or charges of one round.
    var writes: Int { isQuick ? 25_000 : 80_000 }

    /// People who claim once and come too late: more than the service remembers tokens of.
    var newcomers: Int { isQuick ? 55_000 : 200_000 }

    /// Refused claims over which Redis' memory is watched.
    var refusedClaims: Int { isQuick ? 200_000 : 1_000_000 }

    /// The flash sale's users, its coupons, and how long it lasts: they run out after about half of it.
    var flashSale: (users: Int, coupons: Int, seconds: Int) { isQuick ? (60_000, 50_000, 6) : (200_000, 150_000, 20) }

    /// The points of a growth curve are measured more often and shorter: what counts is how little they differ.
    var growthRounds: Int { isQuick ? 2 : 5 }
    var growthSeconds: Int { isQuick ? 1 : 3 }
    var growthPayments: Int { isQuick ? 5_000 : 20_000 }

    /// How long requests come at each rate, and how many of them find out what the greatest rate is.
    var openLoopSeconds: Double { isQuick ? 2 : 8 }
    var openLoopProbe: Int { isQuick ? 40_000 : 100_000 }

    /// Requests of one redis-benchmark run: about as long as the other rows.
    func redisRequests(pipeline: Int) -> Int { seconds * (pipeline > 1 ? 150_000 : 80_000) }

    /// For a part that is wanted as a whole, with all its rows.
    func withAllRows() -> BenchSettings {
        var settings = self
        settings.only = nil
        return settings
    }

    func wants(_ title: String) -> Bool { only.map { title.contains($0) } ?? true }
}
