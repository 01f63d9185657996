import Commerce
import Redis
package import Store

extension StoreRestore.Report {
    /// What was restored, and what an operator has to do next.
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
            What happened after the backup is not in the store. The data platform still has the events of that time; their ids are not \
            given again. The ids of users, orders and coupons of that time are given again. If somebody may hold a token of a user who \
            was made after the backup, remove \(folder.path)/token.key: every token is then invalid.
            """)
        switch folder.lastRedis {
        case .given(let url):
            lines.append(
                """
                The service used the Redis at \(url), which serves the former store. Stop every service that is connected to it, then run \
                `firstcome redis show --data \(folder.path) --redis URL` and the command that it names.
                """)
        case .own, nil:
            lines.append(
                "A private Redis is rebuilt at the next start. Another Redis has to be taken over: see `firstcome redis take --help`.")
        }
        return lines.joined(separator: "\n")
    }
}
