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
        discussion: "A store that is not empty stays as it is. The service must not be running on the folder.")

    @OptionGroup var data: DataOption
    @OptionGroup var timeZone: TimeZoneOption

    @Option(help: "Where the service listens or will listen, for the lines that are printed.")
    var url = ListenAddress.standard.description(port: nil)

    func run() async throws {
        let folder = try DataFolder.make(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        let logger = Logger(label: "firstcome")
        try folder.closeStoreToOthers(logger: logger)
        let store = try folder.openStore(calendar: try timeZone.calendar(), logger: logger)
        defer { store.close() }
        if try await store.counts().isEmpty {
            try await SampleData(store: store, now: WallClock.system.now).fill()
            print("made \(SampleData.users) users, \(SampleData.products.count) products, 2 coupons and the sales of three days\n")
        } else {
            print("the store is not empty and stays as it is\n")
        }
        let key = try TokenKey.load(fromDataFolder: folder.path)
        print(Tour(key: key, url: url, socketPath: try folder.privateRedis().socketPath).text)
    }
}
