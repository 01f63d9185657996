package import API
package import Commerce
import Foundation
package import HTTPServer
package import PostgresStore
package import Redis
package import Services

/// The settings of a whole service. The initial value of a setting is its default, which `firstcome serve --help` prints.
package struct RunConfiguration: Sendable {
    /// The data folder, which must exist and be locked by the caller. A service whose store and Redis are both on servers needs none.
    package var dataFolder: String
    /// The server of the store; nil for a store in the data folder.
    package var storeServer: PostgresStoreConfiguration?
    package var http = ListenAddress.standard.configuration
    /// The certificate of HTTPS; nil for plain HTTP.
    package var certificate: ServerCertificate.Files?
    /// The second listener, for operators; nil where `http` serves them too.
    package var operators: HTTPServerConfiguration?
    /// `nil` for a private Redis in the data folder.
    package var redis: RedisEndpoint?
    /// The settings of the services. The start itself sets `privateRedis`.
    package var services: ServicesConfiguration
    /// Which tokens are taken.
    package var tokens = TokenConfiguration()
    /// The limits on clients and on queues.
    package var limits = RequestLimits()
    /// The number of a new store's first incarnation; nil for the present time.
    package var firstIncarnation: Int64?
    /// The number of event loops. One core is left to Redis and to the store's writer.
    package var loops = max(1, ProcessInfo.processInfo.activeProcessorCount - 1)
    /// Where requests are logged, one line each; nil for nowhere.
    package var accessLog: AccessLog.Destination?
    /// How long requests may take to finish when the service stops.
    package var drainDeadline: Duration = .seconds(10)

    package var storePlace: StorePlace { storeServer.map { .server($0) } ?? .folder(DataFolder(path: dataFolder)) }

    package init(dataFolder: String, calendar: BusinessCalendar) {
        self.dataFolder = dataFolder
        services = ServicesConfiguration(calendar: calendar)
    }
}
