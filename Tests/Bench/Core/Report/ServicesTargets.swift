/// The targets of several services on a Redis Cluster, beside one service on one Redis.
extension Report {
    var servicesTargets: [TargetResult] {
        let payment = ratio(.threePayments, to: .onePayment, of: \.finishedCPU)?.median
        let refused = ratio(.threeRefused, to: .oneRefused, of: \.perSecondOfCPU)?.median
        let wins = ratio(.threeWins, to: .oneWins, of: \.perSecond)?.median
        let idle = findings.idle?.first { $0.name == IdleUse.severalServices }
        let together = "CPU of services, Redis Cluster and PostgreSQL, % of one core"
        return [
            Target(Row.threePayments.rawValue, "CPU with PostgreSQL, x one service", .atMost, 1.15, stretch: 1.05).judge(payment),
            Target(Row.threeRefused.rawValue, "requests for one CPU second with Redis, x one service", .atLeast, 0.9, stretch: 1)
                .judge(refused),
            Target(Row.threeWins.rawValue, "wins/s, x one service", .atLeast, 0.8, stretch: 1).judge(wins),
            Target("\(IdleUse.severalServices) without requests", together, .atMost, 3, stretch: 1).judge(idle?.all),
        ]
    }
}

// MARK: - The tables

extension Report {
    var hasServicesRows: Bool { ServicesRows.all.contains { !samples($0).isEmpty } }

    var servicesTable: Table { storeTable(of: ServicesRows.all) }

    var idleTable: Table {
        var table = Table(["Without requests, % of one core", "all", "services", "Redis", "PostgreSQL", "measured for, s"], numeric: 1...5)
        for use in findings.idle ?? [] {
            table.add([use.name] + [use.all, use.services, use.redis, use.database, use.seconds].map(Figure.short))
        }
        return table
    }
}

/// The CPU that services with their Redis and PostgreSQL use while nobody asks them anything, each in percent of one core.
package struct IdleUse: Codable, Sendable {
    package let name: String
    package let seconds: Double
    package let services: Double
    /// All nodes of a cluster.
    package let redis: Double
    package let database: Double

    package init(name: String, seconds: Double, services: Double, redis: Double, database: Double) {
        (self.name, self.seconds, self.services, self.redis, self.database) = (name, seconds, services, redis, database)
    }

    package var all: Double { services + redis + database }

    static let severalServices = "3 services"
}
