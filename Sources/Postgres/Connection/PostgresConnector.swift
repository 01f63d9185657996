import CLibPQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Connects to the first suitable server of an endpoint.
///
/// Hosts and addresses are walked here and not by libpq, because without a blocking call libpq has no time limit for one of them.
struct PostgresConnector {
    let configuration: PostgresConfiguration
    let notices: NoticeReceiver

    struct Connected {
        let connection: OpaquePointer
        let host: PostgresEndpoint.Host
    }

    private var endpoint: PostgresEndpoint { configuration.endpoint }

    /// - Throws: `.misconfigured`, `.insecure`, `.server(.wrongPassword)` and the like with one host; with several, the last one's code
    ///   and every one's message. Always `.notSent`.
    func connect() throws(PostgresError) -> Connected {
        let deadline = Deadline(in: configuration.connectTimeout)
        guard endpoint.role == .preferStandby else { return try connect(as: endpoint.role, deadline) }
        do throws(PostgresError) {
            return try connect(as: .standby, deadline)
        } catch  where error.code == .wrongRole {
            return try connect(as: .any, deadline)
        }
    }

    private func connect(as role: PostgresEndpoint.Role, _ deadline: Deadline) throws(PostgresError) -> Connected {
        var failures: [PostgresError] = []
        for (index, host) in endpoint.hosts.enumerated() {
            do throws(PostgresError) {
                return try connect(to: host, isLast: index == endpoint.hosts.count - 1, role, deadline)
            } catch {
                failures.append(error)
                // Another host would refuse the same password, and some lock an account after a few attempts.
                if error.kind == .wrongPassword || error.kind == .notAuthorized || error.code == .misconfigured { break }
                if deadline.hasPassed { break }
            }
        }
        guard var error = failures.last else { preconditionFailure("an endpoint has a host") }
        // A host that only has another role says more than one that does not answer.
        if failures.contains(where: { $0.code == .wrongRole }) && error.kind == nil { error.code = .wrongRole }
        error.message = failures.map(\.message).joined(separator: "; ")
        throw error
    }

    private func connect(
        to host: PostgresEndpoint.Host, isLast: Bool, _ role: PostgresEndpoint.Role, _ deadline: Deadline
    ) throws(PostgresError) -> Connected {
        guard case .tcp(let name, _) = host else { return try attempt(host, address: nil, role, isLast ? deadline : sooner(deadline)) }
        let addresses: [String]
        do throws(PostgresError) {
            addresses = try HostLookup.addresses(of: name, before: isLast ? deadline : sooner(deadline))
        } catch {
            throw located(error, host)
        }
        var failure = located(PostgresError(.unreachable, .notSent, "the host's name has no address"), host)
        for (index, address) in addresses.enumerated() {
            do throws(PostgresError) {
                return try attempt(host, address: address, role, isLast && index == addresses.count - 1 ? deadline : sooner(deadline))
            } catch {
                failure = error
                if error.kind == .wrongPassword || error.kind == .notAuthorized || deadline.hasPassed { break }
            }
        }
        throw failure
    }

    /// The end of one attempt that others follow.
    private func sooner(_ deadline: Deadline) -> Deadline { min(deadline, Deadline(in: configuration.addressTimeout)) }

    private func located(_ error: PostgresError, _ host: PostgresEndpoint.Host) -> PostgresError {
        var error = error
        error.message = "\(host.place): \(error.message)"
        return error
    }

    // MARK: One attempt

    private func attempt(
        _ host: PostgresEndpoint.Host, address: String?, _ role: PostgresEndpoint.Role, _ deadline: Deadline
    ) throws(PostgresError) -> Connected {
        guard let connection = start(host, address) else {
            throw PostgresError(.unreachable, .notSent, "there is no memory for a connection")
        }
        do throws(PostgresError) {
            notices.redacted = Redaction(password: PQpass(connection).map { String(cString: $0) })
            notices.attach(to: connection)
            // Has the server's SQLSTATE in the message, for which libpq has no other access before a connection is made.
            PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
            try wait(for: connection, deadline)
            try checkRole(of: connection, role)
            guard PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1 else {
                throw PostgresError(.protocolViolation, .notSent, "the connection cannot send statements in a pipeline")
            }
            return Connected(connection: connection, host: host)
        } catch {
            PQfinish(connection)
            throw located(error, host)
        }
    }

    private func start(_ host: PostgresEndpoint.Host, _ address: String?) -> OpaquePointer? {
        let parameters = parameters(host, address).sorted { $0.key < $1.key }
        let keys = parameters.map { strdup($0.key) }
        let values = parameters.map { strdup($0.value) }
        defer { for text in keys + values { free(text) } }
        var keyPointers = keys.map { UnsafePointer($0) }
        var valuePointers = values.map { UnsafePointer($0) }
        keyPointers.append(nil)
        valuePointers.append(nil)
        return PQconnectStartParams(keyPointers, valuePointers, 0)
    }

    /// Everything that matters is given, because libpq takes the rest from variables of the environment.
    private func parameters(_ host: PostgresEndpoint.Host, _ address: String?) -> [String: String] {
        let (session, tcp) = (configuration.session, configuration.tcp)
        var all = [
            "client_encoding": "UTF8", "gssencmode": "disable", "target_session_attrs": "any", "sslmode": endpoint.encryption.rawValue,
            "keepalives": "1", "keepalives_idle": String(tcp.keepalivesIdle), "keepalives_interval": String(tcp.keepalivesInterval),
            "keepalives_count": String(tcp.keepalivesCount),
            "tcp_user_timeout": String(tcp.userTimeout.wholeMilliseconds),
        ]
        all["application_name"] = session.applicationName
        all.merge(endpoint.options) { $1 }
        all["options"] = [endpoint.options["options"], session.commandLine].compactMap(\.self).joined(separator: " ")
        switch host {
        case .tcp(let name, let port): (all["host"], all["hostaddr"], all["port"]) = (name, address, String(port))
        case .unix(let folder, let port): (all["host"], all["port"]) = (folder, String(port))
        }
        all["user"] = endpoint.user
        all["password"] = endpoint.password
        all["dbname"] = endpoint.database
        all["sslrootcert"] = endpoint.rootCertificate
        return all
    }

    private func wait(for connection: OpaquePointer, _ deadline: Deadline) throws(PostgresError) {
        guard PQstatus(connection) != CONNECTION_BAD else { throw failure(of: connection, in: CONNECTION_NEEDED) }
        var progress = PGRES_POLLING_WRITING
        while true {
            guard deadline.wait(for: progress == PGRES_POLLING_READING ? .readable : .writable, on: PQsocket(connection)) else {
                throw PostgresError(.timedOut, .notSent, "connecting took too long")
            }
            let phase = PQstatus(connection)
            progress = PQconnectPoll(connection)
            switch progress {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING, PGRES_POLLING_WRITING: continue
            default: throw failure(of: connection, in: phase)
            }
        }
    }

    /// Reads why connecting failed from libpq's message, which has a line for each attempt, such as one with TLS and one without:
    /// `connection to server at "::1", port 5432 failed: FATAL:  28P01: password authentication failed for user "ann"`.
    private func failure(of connection: OpaquePointer, in phase: ConnStatusType) -> PostgresError {
        let text = notices.redacted(PQerrorMessage(connection).map { String(cString: $0) } ?? "")
        let attempts = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("connection to server ") }
        guard let attempt = attempts.last else {
            return PostgresError(.misconfigured, .notSent, ServerMessage.oneLine(text))
        }
        let words = attempt.firstRange(of: " failed: ").map { attempt[$0.upperBound...] } ?? attempt
        if let match = words.prefixMatch(of: /[A-Z]+:  ([0-9A-Z]{5}): (.*)/) {
            let state = SQLState(String(match.1))
            var error = PostgresError(.server(state.kind), .notSent, String(match.2))
            error.sqlState = state
            return error
        }
        if words.hasPrefix("fe_sendauth: no password supplied") {
            return PostgresError(.server(.wrongPassword), .notSent, "the server asks for a password, and none is given")
        }
        return PostgresError(code(in: phase), .notSent, String(words))
    }

    private func code(in phase: ConnStatusType) -> PostgresError.Code {
        switch phase {
        case CONNECTION_SSL_STARTUP: .insecure
        case CONNECTION_AWAITING_RESPONSE, CONNECTION_AUTH_OK: .connectionLost
        default: .unreachable
        }
    }

    private func checkRole(of connection: OpaquePointer, _ role: PostgresEndpoint.Role) throws(PostgresError) {
        guard role != .any else { return }
        func isOn(_ parameter: String) -> Bool? { PQparameterStatus(connection, parameter).map { String(cString: $0) == "on" } }
        guard let isStandby = isOn("in_hot_standby"), let readsOnly = isOn("default_transaction_read_only") else {
            throw PostgresError(.wrongRole, .notSent, "the server does not say whether it is a standby, which came with PostgreSQL 14")
        }
        let fault: String? =
            switch role {
            case .any, .preferStandby: nil
            case .readWrite: isStandby ? "the server is a standby" : readsOnly ? "its sessions are read-only" : nil
            case .readOnly: isStandby || readsOnly ? nil : "its sessions accept writes"
            case .primary: isStandby ? "the server is a standby" : nil
            case .standby: isStandby ? nil : "the server is no standby"
            }
        if let fault { throw PostgresError(.wrongRole, .notSent, fault) }
    }
}
