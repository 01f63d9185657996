import App
import ArgumentParser
import Commerce
import Services
import Store

/// `firstcome ranking`: shows the best sellers of three days, or rebuilds their scores from the store.
struct RankingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ranking", abstract: "Shows the best sellers, or rebuilds their scores from the store.",
        subcommands: [Show.self, Rebuild.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the best sellers of today and the two days before.")

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var redis: RedisOption
        @OptionGroup var timeZone: TimeZoneOption

        func validate() throws { try store.validate(with: redis, data: data) }

        func run() async throws {
            let top = try await Workbench.use(store: store, data: data, redis: redis, timeZone: timeZone) { bench in
                let ranking = Ranking(
                    reader: try bench.store.makePointReader(), redis: bench.redis, calendar: bench.calendar, clock: .system)
                try await ranking.refresh()
                return ranking.top
            }
            print("\(top.windowFrom) to \(top.windowTo) (\(top.timeZone)), as of \(top.asOf)")
            if top.items.isEmpty { print("nothing sold") }
            for item in top.items {
                print("\(item.rank). \(item.product.name) (product \(item.product.id), \(item.product.price) won): \(item.unitsSold) sold")
            }
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Counts the sales of the days that Redis keeps again from the store.")

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var redis: RedisOption
        @OptionGroup var timeZone: TimeZoneOption

        func validate() throws { try store.validate(with: redis, data: data) }

        func run() async throws {
            let last = try await Workbench.use(store: store, data: data, redis: redis, timeZone: timeZone) { bench in
                let progress = TerminalProgress()
                defer { progress.end() }
                let rebuild = SalesRebuild(
                    store: bench.store, redis: bench.redis, calendar: bench.calendar, clock: .system, logger: bench.logger)
                return try await rebuild.run { done, all in progress.show("day \(done) of \(all)") }
            }
            print("rebuilt from the store up to event \(last)")
        }
    }
}
