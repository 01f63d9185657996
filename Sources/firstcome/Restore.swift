import ArgumentParser
import Commerce
import Foundation
import Redis
import Store

/// `firstcome restore`: puts a backup in the place of the store.
struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts a backup in the place of the store. The service must be stopped.",
        discussion: """
            The file is checked first, and the store stays as it is where the file is damaged, is no store or was written by a newer version. \
            The former store is kept beside it under another name. A crash at any moment leaves the former store or the restored one, whole.

            The restored store begins a new incarnation: its events get ids that were never given before, and no Redis that served the store \
            before is believed. A private Redis is rebuilt at the next start; a given one has to be told with `firstcome redis take`.
            """)

    @OptionGroup var data: DataOption

    @Argument(help: "A file that `firstcome backup` made.")
    var file: String

    func run() async throws {
        guard FileManager.default.fileExists(atPath: file) else { throw CommandError("there is no file \(file)") }
        let folder = try DataFolder.make(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        print(Self.text(try StoreRestore.run(file: file, to: folder.storePath), file, folder))
    }

    private static func text(_ report: StoreRestore.Report, _ file: String, _ folder: DataFolder) -> String {
        let counts = report.counts
        var lines = [
            "restored \(file) to \(folder.storePath)",
            "  this is \(report.identity.words)",
            "  \(counts.users) users, \(counts.products) products, \(counts.campaigns) campaigns, \(counts.issuedCoupons) issued coupons, "
                + "\(counts.orders) orders, \(counts.payments) payments, \(counts.refunds) refunds",
            "  last event: \(report.lastEvent?.description ?? "none"); further events count from \(report.identity.eventBase + 1)",
        ]
        if let former = report.formerStore { lines.append("  the former store is kept as \(former)") }
        lines.append(
            """
            What happened after the backup is not in the store. The data platform keeps what it was told of it, under other event ids. Users, \
            orders and coupons made from now on get the numbers that were given after the backup once more: where somebody may still hold a \
            token of a user made after the backup, remove \(folder.path)/token.key, and every token ends.
            """)
        switch folder.lastRedis {
        case .given(let url):
            lines.append(
                """
                The service used the Redis at \(url), which serves the store as it was. Stop every service that is connected to it, then run \
                `firstcome redis show --data \(folder.path) --redis URL` and the command that it names.
                """)
        case .own, nil:
            lines.append(
                "A private Redis is rebuilt at the next start. A given one has to be told: see `firstcome redis take --help`.")
        }
        return lines.joined(separator: "\n")
    }
}
