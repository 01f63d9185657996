import API
import App
import ArgumentParser
import Commerce

/// `firstcome token`: signs tokens with the key of a data folder or of a store on a server.
struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints a token (JWT) for a user, a range of users, or an admin.")

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption

    @Option(help: ArgumentHelp("A user id, or a range such as 1-5000 for one token a line, in order.", valueName: "id|first-last"))
    var user: UserRange?

    @Flag(help: "A token for an operator.")
    var admin = false

    @Option(help: "The operator's name, by which the admin log knows them: the token's sub.")
    var subject: String?

    @Option(help: "How long the token is valid, such as 30m, 24h or 7d.")
    var ttl = DurationArgument(milliseconds: TokenKey.standardLifetimeMilliseconds)

    func validate() throws {
        guard admin != (user != nil) else { throw ValidationError("give either --user or --admin") }
        if let subject {
            guard admin else { throw ValidationError("--subject is for --admin") }
            guard (1...255).contains(subject.utf8.count) else { throw ValidationError("--subject has 1 to 255 bytes") }
        }
        try store.validateAlone(without: data)
    }

    func run() async throws {
        let now = WallClock.system.now
        let place = try store.server().map { StorePlace.server($0) } ?? .folder(try DataFolder.make(data.path))
        let key = try place.tokenKeys.signingKey(at: now)
        guard let end = now.advanced(byMilliseconds: ttl.milliseconds) else { throw ValidationError("--ttl is too long") }
        guard let user else {
            print(key.sign(subject.map { .admin(subject: $0) } ?? .anyAdmin, issuedAt: now, expiresAt: end))
            return
        }
        for id in user.ids {
            print(key.sign(.user(UserID(id)), issuedAt: now, expiresAt: end))
        }
    }
}

/// One user id or a range of them on the command line, such as `7` or `1-5000`.
struct UserRange: ExpressibleByArgument, Sendable {
    let ids: ClosedRange<Int64>

    /// The greatest number of tokens in one call; more is taken for a mistyped range.
    static let maximumCount: Int64 = 10_000_000

    init?(argument: String) {
        let parts = argument.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard parts.count <= 2, let first = parts[0], let last = parts.count == 2 ? parts[1] : first else { return nil }
        guard first >= 1, last >= first, last - first < Self.maximumCount else { return nil }
        ids = first...last
    }
}
