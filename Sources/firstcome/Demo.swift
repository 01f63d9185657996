import API
import App
import ArgumentParser
import Commerce
import Logging
import Services
import Store

/// `firstcome demo`: fills an empty store with sample data and prints what to try.
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fills an empty store with sample users, products and an open coupon, and prints lines to try.",
        discussion: "A store that is not empty stays as it is. No service may run on a data folder meanwhile; on a PostgreSQL it may.")

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption
    @OptionGroup var timeZone: TimeZoneOption

    @Option(help: "Where the service listens or will listen, for the lines that are printed.")
    var url = ListenAddress.standard.description(port: nil)

    func run() async throws {
        let logger = Logger(label: "firstcome")
        let server = try store.server(logger: logger)
        let folder = server == nil ? try DataFolder.make(data.path) : DataFolder(path: data.path)
        let lock = server == nil ? try folder.lock() : nil
        defer { withExtendedLifetime(lock) {} }
        if server == nil { try folder.closeStoreToOthers(logger: logger) }
        let place = server.map { StorePlace.server($0) } ?? .folder(folder)
        let opened = try place.open(calendar: try timeZone.calendar(), logger: logger)
        defer { opened.close() }
        if try await opened.counts().isEmpty {
            try await SampleData(store: opened, now: WallClock.system.now).fill()
            print("made \(SampleData.users) users, \(SampleData.products.count) products, 2 coupons and the sales of three days\n")
        } else {
            print("the store is not empty and stays as it is\n")
        }
        let key = try place.tokenKeys.signingKey(at: WallClock.system.now)
        print(Tour(key: key, url: url, socketPath: try folder.privateRedis().socketPath).text)
    }
}
