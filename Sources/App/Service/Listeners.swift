import API
import HTTPServer
import Logging
import NIOCore

/// The listeners of a service: one for everybody, or one for clients and one for operators.
struct Listeners {
    let server: HTTPListener
    let operators: HTTPListener?
    let place: String
    let operatorsPlace: String?

    /// Throws where listening would fail, or would take the socket of another program.
    static func check(_ configuration: RunConfiguration) throws(CommandError) {
        let addresses = [configuration.http, configuration.operators].compactMap { $0?.address }.map { ListenAddress($0) }
        for address in addresses { try address.check() }
        if case .unixSocket? = addresses.first, configuration.certificate != nil {
            throw CommandError("--tls-cert has no meaning with --host unix:...; leave it out")
        }
        guard addresses.count < 2 || addresses[0] != addresses[1] || addresses[0].isChosenBySystem else {
            throw CommandError("--admin-listen needs another address than that of clients")
        }
    }

    /// Starts the listener for operators, if there is one, and then that for clients.
    static func start(
        _ configuration: RunConfiguration, _ api: FirstcomeAPI, _ certificate: ServerCertificate?, _ parts: inout ServiceParts,
        logger: Logger
    ) async throws -> Listeners {
        // Checked again, because another program may have begun to listen meanwhile.
        try check(configuration)
        let (loops, accessLog) = (parts.loops, try parts.openAccessLog(configuration, logger: logger))
        func listener(
            _ configuration: HTTPServerConfiguration, isSecure: Bool, ofOperators: Bool = false,
            _ responder: @escaping (any EventLoop) -> HTTPResponder
        ) -> HTTPListener {
            var configuration = configuration
            if isSecure { configuration.certificate = certificate }
            configuration.accessLog = accessLog
            configuration.largeBodies = api.largeBodies(ofOperators: ofOperators)
            return HTTPListener(
                configuration: configuration, eventLoopGroup: loops, responder: responder, notes: api.notes(on:),
                refusalResponse: api.refusalResponse, logger: logger)
        }
        let isSecure = certificate != nil
        var (operators, operatorsPlace): (HTTPListener?, String?)
        if var settings = configuration.operators {
            let address = ListenAddress(settings.address)
            settings.crossOrigin = configuration.http.crossOrigin
            let server = listener(settings, isSecure: !address.isLocal, ofOperators: true, api.operatorsResponder(on:))
            try await address.start(server)
            parts.operatorsServer = server
            try address.admitGroup()
            (operators, operatorsPlace) = (server, address.description(port: server.port, isSecure: isSecure && !address.isLocal))
            if !isSecure, !address.isLocal {
                logger.warning(
                    "operators' tokens cross the network unencrypted: --admin-listen is no local address, and there is no --tls-cert")
            }
        }
        let address = ListenAddress(configuration.http.address)
        let server = listener(configuration.http, isSecure: true, api.responder(on:))
        try await address.start(server)
        parts.server = (server, configuration.drainDeadline)
        try address.admitGroup()
        return Listeners(
            server: server, operators: operators, place: address.description(port: server.port, isSecure: isSecure),
            operatorsPlace: operatorsPlace)
    }
}

extension ListenAddress {
    fileprivate var isChosenBySystem: Bool { if case .tcp(_, port: 0) = self { true } else { false } }

    /// Begins to listen; a system error becomes one line.
    fileprivate func start(_ server: HTTPListener) async throws {
        do { try await server.start() } catch { throw describing(error) }
    }
}
