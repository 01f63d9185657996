import Commerce
import Redis
package import Store

extension StoreRestore.Report {
    /// What was restored, and what an operator has to know and do now.
    package func text(of file: String, in folder: DataFolder) -> String {
        var lines = [
            "restored \(file) to \(folder.storePath)",
            "  this is \(identity.words)",
            "  \(counts.users) users, \(counts.products) products, \(counts.campaigns) campaigns, \(counts.issuedCoupons) issued coupons, "
                + "\(counts.orders) orders, \(counts.payments) payments, \(counts.refunds) refunds",
            "  last event: \(lastEvent?.description ?? "none"); further events count from \(identity.eventBase + 1)",
        ]
        if let former = formerStore { lines.append("  the former store is kept as \(former)") }
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
