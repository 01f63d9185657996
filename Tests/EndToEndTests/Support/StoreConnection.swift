import GRDB
import TestSupport

/// Opens a store's file beside the service that writes it, as an operator's tool would. Writes wait for those of the service.
func storeConnection(in folder: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.busyMode = .timeout(Double(hangLimit.components.seconds))
    return try DatabaseQueue(path: folder + "/store.sqlite", configuration: configuration)
}
